//! A machine that runs until its guest stops it, and is saved there.

use super::launch::{Launched, START_TIMEOUT};
use super::qmp::{poll_until, Qmp};
use super::restore::agree;
use crate::console::find_panic;
use crate::{MachineError, MachineSpec, SavedError, Start, StartError};
use rustix::event::{PollFd, PollFlags};
use serde_json::{json, Value};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// Between two looks at the CPU time.
const LOOK: Duration = Duration::from_millis(50);
/// CPU time for the way to the save: a kernel boots in 2 to 6 seconds with 4 CPUs, in 29 with 32 under the virtual clock.
const CPU_BASE: Duration = Duration::from_secs(40);
const CPU_PER_CPU: Duration = Duration::from_secs(4);
/// Host time for a machine that uses hardly any CPU time: all its CPUs have halted. Generous: the host itself may have slept.
const IDLE: Duration = Duration::from_secs(120);
/// Less CPU time than this in [`IDLE`] is no work: an emulator whose CPUs have halted still serves its timers.
const BUSY_CPU: Duration = Duration::from_millis(500);
/// Between two questions whether the state is written, which takes about 10 ms.
const POLL: Duration = Duration::from_millis(2);
/// How much of the console an error carries.
const CONSOLE_BYTES_MAX: usize = 2048;

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
            return Err(not_reached(launched, format!("the machine ended ({status}): {log}")));
        }
        let cpu_time = launched.process.cpu_time();
        if let Some(reason) = give_up(cpu_time) {
            return Err(not_reached(launched, reason));
        }
        if patience.as_mut().is_some_and(|patience| patience.is_over(cpu_time, Instant::now())) {
            return Err(not_reached(launched, format!("it did not within {} s of CPU time", cpu_time.as_secs())));
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
        Some(message) => Err(not_reached(launched, format!("the kernel panicked: {message}"))),
        None => Ok(()),
    }
}

/// How long a guest may take. The host's clock says little on a busy host, so that it is CPU time that counts.
struct Patience {
    cpu_max: Duration,
    /// When the emulator last used CPU time, and how much it had used by then.
    busy_at: Instant,
    busy_cpu: Duration,
}

impl Patience {
    fn new(cpus: u32, now: Instant) -> Self {
        Self { cpu_max: CPU_BASE + CPU_PER_CPU * cpus, busy_at: now, busy_cpu: Duration::ZERO }
    }

    fn is_over(&mut self, cpu_time: Duration, now: Instant) -> bool {
        if cpu_time.saturating_sub(self.busy_cpu) >= BUSY_CPU {
            (self.busy_at, self.busy_cpu) = (now, cpu_time);
        }
        cpu_time > self.cpu_max || now.saturating_duration_since(self.busy_at) > IDLE
    }
}

fn not_reached(launched: &mut Launched, seen: String) -> StartError {
    let mut console = Vec::new();
    while let Ok(bytes) = launched.console.read_new() {
        if bytes.is_empty() {
            break;
        }
        console = bytes;
    }
    let start = console.len().saturating_sub(CONSOLE_BYTES_MAX);
    let console = String::from_utf8_lossy(console.get(start..).unwrap_or_default()).into_owned();
    SavedError::NotReached { seen, console }.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_guest_is_late_by_cpu_time_and_not_because_the_host_is_busy() {
        let now = Instant::now();
        let late = |cpu_time, host_time| Patience::new(4, now).is_over(cpu_time, now + host_time);
        assert!(!late(SECOND * 56, SECOND * 60));
        assert!(late(SECOND * 57, SECOND * 60));
        assert!(!late(Duration::ZERO, SECOND * 119));
        assert!(late(Duration::ZERO, SECOND * 121));
        // Half a percent of a CPU for an hour.
        let mut starved = Patience::new(4, now);
        assert!((1..60).all(|minute| !starved.is_over(SECOND * minute / 2, now + SECOND * 60 * minute)));
    }
}
