//! When a guest that says nothing has to be given up.
//!
//! The host's clock says little on a busy host: an emulator that gets no CPU makes no progress and is not at fault. So a
//! guest is measured by the CPU time that its emulator has used since the last sign of life. The host's clock is the limit
//! only for an emulator that uses no CPU time, whose CPUs have all halted for ever.

use ktstr_model::Clock;
use std::time::{Duration, Instant};

/// Limits of one guest.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limits {
    /// CPU time until stage one is up.
    boot_cpu: Duration,
    /// CPU time between two heartbeats.
    heartbeat_cpu: Duration,
    /// Host time without any sign of life.
    idle: Duration,
}

/// Host time without a sign of life, for an emulator that is idle. Generous: the host itself may have slept.
const IDLE: Duration = Duration::from_secs(120);
/// Less CPU time than this in [`IDLE`] is no work: an emulator whose CPUs have halted still serves its timers.
const BUSY_CPU: Duration = Duration::from_millis(500);
/// CPU time to boot: 2 to 6 seconds with 4 CPUs, 29 with 32 under the virtual clock.
const BOOT_CPU_BASE: Duration = Duration::from_secs(40);
const BOOT_CPU_PER_CPU: Duration = Duration::from_secs(4);
/// A heartbeat comes every 100 ms of guest time, which costs about 0.1 s of CPU time under the virtual clock.
const HEARTBEAT_CPU: Duration = Duration::from_secs(10);

/// Why a guest is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Stage one never came up.
    Boot {
        /// CPU time that was used.
        cpu: Duration,
    },
    /// No heartbeat for so much CPU time.
    Hang {
        /// CPU time since the last one.
        cpu: Duration,
    },
}

/// The last sign of life of a guest.
#[derive(Debug)]
pub(crate) struct Watch {
    limits: Limits,
    booted: bool,
    beats: u64,
    /// CPU time at the last sign of life.
    last_cpu: Duration,
    /// When the guest last showed life or its emulator used CPU time, and how much it had used by then.
    busy_at: Instant,
    busy_cpu: Duration,
}

impl Watch {
    /// Starts to watch a guest that has just been started.
    pub(crate) fn new(clock: Clock, cpus: u32, now: Instant) -> Self {
        // Under the real clock all CPUs run at once, and so does their CPU time.
        let parallel = if clock == Clock::Real { cpus } else { 1 };
        let limits = Limits {
            boot_cpu: BOOT_CPU_BASE + BOOT_CPU_PER_CPU * cpus,
            heartbeat_cpu: HEARTBEAT_CPU * parallel,
            idle: IDLE,
        };
        let zero = Duration::ZERO;
        Self { limits, booted: false, beats: 0, last_cpu: zero, busy_at: now, busy_cpu: zero }
    }

    /// Takes note of the guest's state and says whether to give it up. `beats` is its heartbeat counter, `cpu` the CPU time
    /// that its emulator has used since the start.
    pub(crate) fn check(&mut self, booted: bool, beats: u64, cpu: Duration, now: Instant) -> Option<Silence> {
        if booted != self.booted || beats != self.beats {
            self.booted = booted;
            self.beats = beats;
            self.last_cpu = cpu;
            (self.busy_at, self.busy_cpu) = (now, cpu);
            return None;
        }
        if cpu.saturating_sub(self.busy_cpu) >= BUSY_CPU {
            (self.busy_at, self.busy_cpu) = (now, cpu);
        }
        let used = cpu.saturating_sub(self.last_cpu);
        let limit = if self.booted { self.limits.heartbeat_cpu } else { self.limits.boot_cpu };
        let idle = now.saturating_duration_since(self.busy_at) > self.limits.idle;
        if used <= limit && !idle {
            return None;
        }
        Some(if self.booted { Silence::Hang { cpu: used } } else { Silence::Boot { cpu: used } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch(clock: Clock) -> (Watch, Instant) {
        let now = Instant::now();
        (Watch::new(clock, 4, now), now)
    }

    #[test]
    fn a_guest_that_never_comes_up_is_a_boot_timeout() {
        let (mut watch, now) = watch(Clock::Virtual);
        assert_eq!(watch.check(false, 0, SECOND * 56, now), None);
        assert_eq!(watch.check(false, 0, SECOND * 57, now), Some(Silence::Boot { cpu: SECOND * 57 }));
    }

    #[test]
    fn a_guest_without_heartbeat_hangs() {
        let (mut watch, now) = watch(Clock::Virtual);
        assert_eq!(watch.check(true, 1, SECOND * 20, now), None);
        assert_eq!(watch.check(true, 1, SECOND * 30, now), None);
        assert_eq!(watch.check(true, 2, SECOND * 31, now), None);
        assert_eq!(watch.check(true, 2, SECOND * 42, now), Some(Silence::Hang { cpu: SECOND * 11 }));
    }

    #[test]
    fn a_busy_host_is_no_hang() {
        let (mut watch, now) = watch(Clock::Virtual);
        assert_eq!(watch.check(true, 1, SECOND, now), None);
        assert_eq!(watch.check(true, 1, SECOND * 9, now + SECOND * 100), None);
    }

    #[test]
    fn halted_for_ever_is_a_hang() {
        let (mut watch, now) = watch(Clock::Real);
        assert_eq!(watch.check(true, 1, SECOND, now), None);
        assert_eq!(watch.check(true, 1, SECOND, now + SECOND * 121), Some(Silence::Hang { cpu: Duration::ZERO }));
    }

    #[test]
    fn halted_after_much_work_is_a_hang() {
        let (mut watch, now) = watch(Clock::Real);
        assert_eq!(watch.check(true, 1, SECOND, now), None);
        assert_eq!(watch.check(true, 1, SECOND * 21, now + SECOND * 20), None);
        assert_eq!(watch.check(true, 1, SECOND * 21, now + SECOND * 139), None);
        assert_eq!(watch.check(true, 1, SECOND * 21, now + SECOND * 141), Some(Silence::Hang { cpu: SECOND * 20 }));
    }

    #[test]
    fn a_starved_emulator_is_no_hang() {
        let (mut watch, now) = watch(Clock::Real);
        assert_eq!(watch.check(true, 1, SECOND, now), None);
        // Half a percent of a CPU for ten minutes.
        for minute in 1..=10 {
            assert_eq!(watch.check(true, 1, SECOND + SECOND * minute / 2, now + SECOND * 60 * minute), None);
        }
    }

    #[test]
    fn under_the_real_clock_all_cpus_count() {
        let (mut watch, now) = watch(Clock::Real);
        assert_eq!(watch.check(true, 1, SECOND, now), None);
        assert_eq!(watch.check(true, 1, SECOND * 40, now), None);
        assert!(watch.check(true, 1, SECOND * 42, now).is_some());
    }
}
