//! How a machine takes the state of a save.

use super::launch::START_TIMEOUT;
use super::qmp::Qmp;
use crate::MachineError;
use serde_json::{json, Value};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// Between two looks at whether the state is there: it takes some milliseconds.
const POLL: Duration = Duration::from_millis(1);

/// A device that no emulator has.
const NO_DEVICE: &str = "ktstr-none";

/// What both ends of a save have to agree on: RAM stays where it is, and no network is told of a machine that moved, which would be
/// a timer in the guest's time.
pub(super) fn agree(qmp: &mut Qmp) -> Result<(), MachineError> {
    let capability = json!({"capabilities": [{"capability": "x-ignore-shared", "state": true}]});
    qmp.execute("migrate-set-capabilities", capability, START_TIMEOUT)?;
    qmp.execute("migrate-set-parameters", json!({"announce-rounds": 0}), START_TIMEOUT).map(drop)
}

/// Loads the open file `state` into a machine that waits for it.
pub(super) fn restore(qmp: &mut Qmp, state: RawFd) -> Result<(), MachineError> {
    agree(qmp)?;
    let command = "migrate-incoming";
    qmp.execute(command, json!({"uri": format!("file:/proc/self/fd/{state}")}), START_TIMEOUT)?;
    let deadline = Instant::now() + START_TIMEOUT;
    while status(qmp)? == "inmigrate" {
        if Instant::now() > deadline {
            return Err(MachineError::Silent { command: command.into(), timeout: START_TIMEOUT });
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Whether an emulator by the name of `version` has to [`settle`] under the virtual clock.
///
/// Loading a state changes the emulator's memory map. What the old map held is freed by its RCU thread up to 50 ms later. From
/// QEMU 10.2 on that thread kicks the CPU that runs at that moment if it waits for long (util/rcu.c, `wait_for_readers`;
/// accel/tcg/tcg-accel-ops-rr.c, `rr_force_rcu`): its turn ends early, at a point that the host's load decides. Earlier
/// ones do so only for a command as the one below.
pub(super) fn must_settle(version: &str) -> bool {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let mut numbers = version.trim_start_matches("QEMU ").split('.');
    match (number(numbers.next()), number(numbers.next())) {
        (Some(major), Some(minor)) => (major, minor) >= (10, 2),
        _ => true,
    }
}

/// Waits until the emulator has nothing left to tidy up, so that a run under the virtual clock depends on the guest alone.
///
/// The command waits for all that was to be freed when it fails (system/qdev-monitor.c, `qmp_device_add` calls
/// `drain_call_rcu`), and it fails because there is no such device. It takes about 50 ms.
pub(super) fn settle(qmp: &mut Qmp) -> Result<(), MachineError> {
    match qmp.execute("device_add", json!({"driver": NO_DEVICE}), START_TIMEOUT) {
        Err(MachineError::Answer { .. }) => Ok(()),
        answer => answer.map(drop),
    }
}

fn status(qmp: &mut Qmp) -> Result<String, MachineError> {
    let status = qmp.execute("query-status", json!({}), START_TIMEOUT)?;
    Ok(status.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn newer_emulators_and_unknown_ones_have_to_settle() {
        for (version, settles) in
            [("QEMU 8.2.0", false), ("QEMU 10.0.13", false), ("QEMU 10.2.1", true), ("QEMU 11.1.2", true), ("x", true)]
        {
            assert_eq!(super::must_settle(version), settles, "{version}");
        }
    }
}
