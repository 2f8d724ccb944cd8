//! Instants of guest time at which a machine stands still, so that the host can look: [`crate::MachineSpec::instants`].
//!
//! ```text
//! next() ◀──guest time── machine stands ══ host reads memory ══ drop(Instant) ──time to stand next──▶ machine goes on
//! ```
//!
//! The other end is in the emulator (`gate/src/instants.rs` says what is sent).

use crate::MachineError;
use ktstr_model::Nanos;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The instants of one machine, from its first. It stands at each until somebody has looked; if this is dropped, it goes on for ever. May be used
/// in another thread than the machine.
#[derive(Debug)]
pub struct Instants {
    stream: UnixStream,
    interval: Nanos,
}

impl Instants {
    /// Instants that are the multiples of `interval`, of a machine that has the other end of `stream`.
    pub(crate) fn new(stream: UnixStream, interval: Nanos) -> Self {
        Self { stream, interval }
    }

    /// Waits until the machine stands at its next instant, at most for `timeout`; `None` if it does not by then.
    ///
    /// # Errors
    /// The machine has ended, or the host failed.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Instant<'_>>, MachineError> {
        let host = |source| MachineError::Host { doing: "wait for an instant of guest time", source };
        // Nothing at all would mean no limit.
        self.stream.set_read_timeout(Some(timeout.max(Duration::from_micros(1)))).map_err(host)?;
        let mut now = [0; size_of::<u64>()];
        match self.stream.read_exact(&mut now) {
            Ok(()) => Ok(Some(Instant { at: Nanos(u64::from_ne_bytes(now)), of: self })),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                Err(MachineError::Ended)
            }
            Err(error) => Err(host(error)),
        }
    }
}

/// The machine stands still while this lives: no CPU and no device changes its memory. It takes no commands meanwhile, and can be stopped.
#[derive(Debug)]
pub struct Instant<'a> {
    /// Guest time since the machine was made, on its virtual clock: what a time stamp counter of 1 GHz counts. The multiple of the
    /// interval that it stands for, or later: where all CPUs had a turn, or, when all had halted, where the next timer is due.
    pub at: Nanos,
    of: &'a Instants,
}

impl Drop for Instant<'_> {
    fn drop(&mut self) {
        // A machine that has ended does not take it.
        let _ = (&self.of.stream).write_all(&following(self.at, self.of.interval).0.to_ne_bytes());
    }
}

/// The first multiple of `interval` behind `at`.
fn following(at: Nanos, interval: Nanos) -> Nanos {
    let interval = interval.0.max(1);
    Nanos((at.0 / interval + 1).saturating_mul(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[test]
    fn instants_are_on_a_grid() {
        for (at, interval, expected) in
            [(0, 10, 10), (9, 10, 10), (10, 10, 20), (37, 10, 40), (5, 0, 6), (u64::MAX, 1 << 40, u64::MAX)]
        {
            assert_eq!(following(Nanos(at), Nanos(interval)), Nanos(expected), "behind {at} by {interval}");
        }
    }

    #[test]
    fn a_machine_goes_on_when_the_host_has_looked_and_not_before() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut instants = Instants::new(ours, Nanos(10));
        assert!(instants.next(Duration::ZERO).expect("can be watched").is_none(), "it does not stand");
        theirs.write_all(&37u64.to_ne_bytes()).expect("writes");
        theirs.set_read_timeout(Some(SOON)).expect("sets");
        let mut due = [0; 8];
        let instant = instants.next(SOON).expect("can be watched").expect("stands");
        assert_eq!(instant.at, Nanos(37));
        assert_eq!(theirs.read(&mut due).expect_err("nothing yet").kind(), ErrorKind::WouldBlock);
        drop(instant);
        theirs.read_exact(&mut due).expect("reads");
        assert_eq!(u64::from_ne_bytes(due), 40);
        drop(theirs);
        assert!(matches!(instants.next(SOON), Err(MachineError::Ended)));
    }

    #[test]
    fn nobody_who_looks_is_an_end_at_the_machine() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        drop(Instants::new(ours, Nanos(10)));
        assert_eq!(theirs.read(&mut [0; 8]).expect("reads"), 0);
    }
}
