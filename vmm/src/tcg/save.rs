//! A machine that runs until its guest stops it, and is saved there.

use super::launch::{Launched, START_TIMEOUT};
use super::qmp::{poll_until, Qmp};
use super::restore::agree;
use crate::console::find_panic;
use crate::patience::{not_reached, Patience};
use crate::{MachineError, MachineSpec, Start, StartError};
use rustix::event::{PollFd, PollFlags};
use serde_json::{json, Value};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// Between two looks at the CPU time.
const LOOK: Duration = Duration::from_millis(50);
/// Between two questions whether the state is written, which takes about 10 ms.
const POLL: Duration = Duration::from_millis(2);
/// What ends the way to a save, once there is a reason; it is told the CPU time so far.
pub(super) type GiveUp<'a> = &'a mut dyn FnMut(Duration) -> Option<String>;

/// Lets the machine of `spec` run, saves its state into the open file `state`, and ends it.
pub(super) fn save(
    mut launched: Launched,
    spec: &MachineSpec,
    state: RawFd,
    give_up: GiveUp<'_>,
) -> Result<(), StartError> {
    launched.steer(|qmp| qmp.execute("cont", json!({}), START_TIMEOUT))?;
    // What a guest does behind a save, only the caller knows.
    let patience = (spec.start == Start::Boot).then(|| Patience::new(spec.topology.cpus(), Instant::now()));
    wait_for_stop(&mut launched, patience, give_up)?;
    launched.steer(|qmp| write_state(qmp, state))?;
    launched.process.kill().map_err(|source| StartError::Host { doing: "end the emulator", source }).map(drop)
}

/// Waits until the guest has stopped itself.
fn wait_for_stop(
    launched: &mut Launched,
    mut patience: Option<Patience>,
    give_up: GiveUp<'_>,
) -> Result<(), StartError> {
    let host = |source| StartError::Host { doing: "watch the emulator", source };
    loop {
        launched.qmp.drain().map_err(host)?;
        if launched.qmp.guest_stopped() {
            return refuse_panic(launched);
        }
        if let Some(status) = launched.process.ended().map_err(host)? {
            let log = launched.process.log();
            if status.code().is_none() {
                return Err(StartError::EmulatorEnded { status: status.to_string(), log });
            }
            refuse_panic(launched)?;
            return Err(not_reached(format!("the machine ended ({status}): {log}"), &mut launched.console).into());
        }
        let cpu_time = launched.process.cpu_time();
        if let Some(reason) = give_up(cpu_time) {
            return Err(not_reached(reason, &mut launched.console).into());
        }
        if let Some(reason) = patience.as_mut().and_then(|patience| patience.reason(cpu_time, Instant::now())) {
            return Err(not_reached(reason, &mut launched.console).into());
        }
        let process = launched.process.as_pollable();
        let control = launched.qmp.as_pollable();
        let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
        fds.extend(control.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        poll_until(&mut fds, Instant::now() + LOOK).map_err(host)?;
    }
}

/// A kernel with a driver for the device stops the machine when it panics, too.
fn refuse_panic(launched: &mut Launched) -> Result<(), StartError> {
    let path = launched.console_path.clone();
    match find_panic(&path).map_err(|source| StartError::File { what: "console", path, source })? {
        Some(message) => Err(not_reached(format!("the kernel panicked: {message}"), &mut launched.console).into()),
        None => Ok(()),
    }
}

fn write_state(qmp: &mut Qmp, state: RawFd) -> Result<(), MachineError> {
    agree(qmp)?;
    let command = "migrate";
    qmp.execute(command, json!({"uri": format!("file:/proc/self/fd/{state}")}), START_TIMEOUT)?;
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let progress = qmp.execute("query-migrate", json!({}), START_TIMEOUT)?;
        match progress.get("status").and_then(Value::as_str) {
            Some("completed") => return Ok(()),
            Some("failed" | "cancelled") => {
                return Err(MachineError::Answer { command: command.into(), problem: progress.to_string() })
            }
            _ if Instant::now() > deadline => {
                return Err(MachineError::Silent { command: command.into(), timeout: START_TIMEOUT })
            }
            _ => std::thread::sleep(POLL),
        }
    }
}
