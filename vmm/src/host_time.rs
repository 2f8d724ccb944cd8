//! What the host gave the thread of a virtual CPU.

use rustix::thread::Pid;
use std::time::Duration;

/// Host time of a virtual CPU's thread since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostTime {
    /// How long it ran.
    pub ran: Duration,
    /// How long it could have run and waited for a CPU of the host. A wait is added when it ends.
    pub waited: Duration,
}

impl HostTime {
    /// Of a thread of the process `process`, which is a number or `self`; none: it is gone.
    pub(crate) fn of_thread(process: &str, thread: Pid) -> Option<Self> {
        let path = format!("/proc/{process}/task/{}/schedstat", thread.as_raw_nonzero());
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    /// Documentation/scheduler/sched-stats.rst: time on a CPU and time that waited for one, in nanoseconds.
    fn parse(schedstat: &str) -> Option<Self> {
        let mut words = schedstat.split_ascii_whitespace();
        let mut next = || words.next()?.parse().ok().map(Duration::from_nanos);
        Some(Self { ran: next()?, waited: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_gone_has_no_times() {
        let time = |ran, waited| HostTime { ran: Duration::from_nanos(ran), waited: Duration::from_nanos(waited) };
        assert_eq!(HostTime::parse("70 5 3\n"), Some(time(70, 5)));
        assert_eq!(HostTime::parse(""), None);
        assert!(HostTime::of_thread("self", rustix::thread::gettid()).is_some());
    }
}
