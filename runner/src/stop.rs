//! When a run must end before it is through: a signal, or the deadline of the test.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The deadline is this part of Bazel's timeout earlier, so that results are written before Bazel ends the test.
const MARGIN: f64 = 0.05;

/// Asked often while a case runs.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Number of the signal that came, or 0.
    signal: Arc<AtomicUsize>,
    deadline: Option<(Instant, Duration)>,
}

impl Stop {
    /// Takes over SIGTERM, SIGINT and SIGHUP; `timeout` counts from now.
    pub(crate) fn install(timeout: Option<Duration>) -> std::io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        let told = Arc::new(AtomicBool::new(false));
        for number in [SIGTERM, SIGINT, SIGHUP] {
            // The second one ends the process at once, whatever it is doing.
            signal_hook::flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&told))?;
            signal_hook::flag::register(number, Arc::clone(&told))?;
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
        }
        let deadline = timeout.and_then(|timeout| {
            // A time that no clock reaches is none.
            Some((Instant::now().checked_add(timeout.mul_f64(1.0 - MARGIN))?, timeout))
        });
        Ok(Self { signal, deadline })
    }

    /// Why to stop now; none: go on.
    pub(crate) fn reason(&self) -> Option<String> {
        match self.signal.load(Ordering::Relaxed) as i32 {
            0 => {}
            SIGTERM => return Some("SIGTERM".into()),
            SIGINT => return Some("SIGINT".into()),
            SIGHUP => return Some("SIGHUP".into()),
            other => return Some(format!("signal {other}")),
        }
        let (deadline, timeout) = self.deadline?;
        let passed = Instant::now() >= deadline;
        passed.then(|| format!("the test's timeout of {}s, less {:.0}% for reports", timeout.as_secs(), MARGIN * 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_has_passed_is_a_reason() {
        let stop = Stop { signal: Arc::default(), deadline: Some((Instant::now(), Duration::from_secs(60))) };
        assert_eq!(stop.reason().as_deref(), Some("the test's timeout of 60s, less 5% for reports"));
    }

    #[test]
    fn a_signal_is_a_reason() {
        let stop = Stop { signal: Arc::new(AtomicUsize::new(SIGTERM as usize)), deadline: None };
        assert_eq!(stop.reason().as_deref(), Some("SIGTERM"));
        assert_eq!(Stop { signal: Arc::default(), deadline: None }.reason(), None);
    }
}
