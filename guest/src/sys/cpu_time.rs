//! CPU time of this and of other processes.

#![allow(unsafe_code)]

use rustix::process::Pid;
use rustix::thread::ClockId;
use rustix::time::Timespec;
use std::io;

/// CPU time of this process in nanoseconds; a system call.
pub fn own_cpu_time() -> u64 {
    nanos(rustix::time::clock_gettime(ClockId::ProcessCPUTime))
}

/// CPU time of another process in nanoseconds, up to this moment even while it runs.
///
/// # Errors
/// If there is no such process.
pub fn cpu_time_of(pid: Pid) -> io::Result<u64> {
    // clock_getcpuclockid(3): the clock's number is the complement of the pid and the kind, CPUCLOCK_SCHED = 2
    // (include/linux/posix-timers_types.h).
    let clock = (!pid.as_raw_nonzero().get() << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that the call writes; it keeps no pointer.
    match unsafe { libc::clock_gettime(clock, &mut time) } {
        0 => Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64),
        _ => Err(io::Error::last_os_error()),
    }
}

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_process_is_its_cpu_time() {
        let own = rustix::process::getpid();
        let before = own_cpu_time();
        let seen = cpu_time_of(own).expect("it is there");
        assert!(before <= seen && seen <= own_cpu_time());
    }

    #[test]
    fn a_process_that_is_not_there_has_no_clock() {
        // The highest number that Linux can give.
        let none = Pid::from_raw(4_194_303).expect("not zero");
        assert!(cpu_time_of(none).is_err());
    }
}
