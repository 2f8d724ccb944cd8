//! How long a guest may take to its save, and what is said of one that did not come there.

use crate::console::ConsoleTail;
use crate::SavedError;
use std::time::{Duration, Instant};

/// CPU time for the way to the save: a kernel boots in 2 to 6 seconds with 4 CPUs, in 29 with 32 under the virtual clock.
const CPU_BASE: Duration = Duration::from_secs(40);
const CPU_PER_CPU: Duration = Duration::from_secs(4);
/// Host time for a machine that uses hardly any CPU time: all its CPUs have halted. Generous: the host itself may have slept.
const IDLE: Duration = Duration::from_secs(120);
/// Less CPU time than this in [`IDLE`] is no work: an emulator whose CPUs have halted still serves its timers.
const BUSY_CPU: Duration = Duration::from_millis(500);
/// How much of the console an error carries.
const CONSOLE_BYTES_MAX: usize = 2048;

/// How long a guest may take. The host's clock says little on a busy host, so that it is CPU time that counts.
pub(crate) struct Patience {
    cpu_max: Duration,
    /// When the emulator last used CPU time, and how much it had used by then.
    busy_at: Instant,
    busy_cpu: Duration,
}

impl Patience {
    pub(crate) fn new(cpus: u32, now: Instant) -> Self {
        Self { cpu_max: CPU_BASE + CPU_PER_CPU * cpus, busy_at: now, busy_cpu: Duration::ZERO }
    }

    fn is_over(&mut self, cpu_time: Duration, now: Instant) -> bool {
        if cpu_time.saturating_sub(self.busy_cpu) >= BUSY_CPU {
            (self.busy_at, self.busy_cpu) = (now, cpu_time);
        }
        cpu_time > self.cpu_max || now.saturating_duration_since(self.busy_at) > IDLE
    }

    /// Why it has taken too long, if it has.
    pub(crate) fn reason(&mut self, cpu_time: Duration, now: Instant) -> Option<String> {
        self.is_over(cpu_time, now).then(|| format!("it did not within {} s of CPU time", cpu_time.as_secs()))
    }
}

/// The guest did not stop itself; `seen` is what was seen instead.
pub(crate) fn not_reached(seen: String, tail: &mut ConsoleTail) -> SavedError {
    let mut console = Vec::new();
    while let Ok(bytes) = tail.read_new() {
        if bytes.is_empty() {
            break;
        }
        console = bytes;
    }
    let start = console.len().saturating_sub(CONSOLE_BYTES_MAX);
    let console = String::from_utf8_lossy(console.get(start..).unwrap_or_default()).into_owned();
    SavedError::NotReached { seen, console }
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
