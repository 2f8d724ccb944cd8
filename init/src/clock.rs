//! Guest time.

use rustix::thread::ClockId;
use rustix::time::Timespec;

/// Nanoseconds of `CLOCK_MONOTONIC`: no system call where the clock source is the TSC.
pub fn now() -> u64 {
    nanos(rustix::time::clock_gettime(ClockId::Monotonic))
}

/// Sleeps until `CLOCK_MONOTONIC` shows `deadline` nanoseconds; at once if it is in the past.
pub fn sleep_until(deadline: u64) {
    let time = Timespec { tv_sec: (deadline / 1_000_000_000) as i64, tv_nsec: (deadline % 1_000_000_000) as i64 };
    // A signal ends the call early. Nobody sends one to the guest's programs but SIGKILL, and a wake that comes early
    // would only make a loop turn once more, so that the bound is the number of signals.
    while now() < deadline && rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &time).is_err() {}
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_after_its_deadline() {
        let deadline = now() + 2_000_000;
        sleep_until(deadline);
        assert!(now() >= deadline);
    }
}
