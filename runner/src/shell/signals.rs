//! What interrupts a shell: signals, and its time.
//!
//! A thread of its own waits for them, since the other one may be writing to a terminal that takes nothing: the terminal is restored at
//! once, and the second signal ends the program whatever it is doing. The emulator ends with its parent.

use super::terminal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals as Waiting;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Asked often.
#[derive(Debug)]
pub(super) struct Signals {
    seen: Arc<Seen>,
    deadline: Option<(Instant, u64)>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Number of the signal that is to end it, or 0.
    end: AtomicI32,
    resized: AtomicBool,
}

/// Why it is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// By this signal.
    Signal(i32),
    /// After so many seconds.
    Timeout(u64),
}

impl Signals {
    /// Takes over the signals that end a program, and SIGWINCH; `timeout` in seconds from now.
    ///
    /// # Errors
    /// That of sigaction(2).
    pub(super) fn install(timeout: Option<u64>) -> io::Result<Self> {
        let seen = Arc::new(Seen::default());
        let mut waiting = Waiting::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGWINCH])?;
        let told = Arc::clone(&seen);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for number in waiting.forever() {
                told.take(number);
            }
        })?;
        // A time that no clock reaches is none.
        let deadline =
            timeout.and_then(|seconds| Some((Instant::now().checked_add(Duration::from_secs(seconds))?, seconds)));
        Ok(Self { seen, deadline })
    }

    /// Why to end now; none: go on.
    pub(super) fn interrupted(&self) -> Option<Interrupted> {
        let signal = self.seen.end.load(Ordering::SeqCst);
        if signal != 0 {
            return Some(Interrupted::Signal(signal));
        }
        let (deadline, seconds) = self.deadline?;
        (Instant::now() >= deadline).then_some(Interrupted::Timeout(seconds))
    }

    /// Whether the terminal has another size since the last call.
    pub(super) fn resized(&self) -> bool {
        self.seen.resized.swap(false, Ordering::SeqCst)
    }
}

impl Seen {
    fn take(&self, number: i32) {
        if number == SIGWINCH {
            self.resized.store(true, Ordering::SeqCst);
            return;
        }
        let first = self.end.swap(number, Ordering::SeqCst) == 0;
        terminal::restore();
        if !first {
            std::process::exit(128 + number);
        }
    }
}

impl Interrupted {
    /// What is said of it.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Signal(SIGTERM) => "SIGTERM".into(),
            Self::Signal(SIGINT) => "SIGINT".into(),
            Self::Signal(SIGHUP) => "SIGHUP".into(),
            Self::Signal(number) => format!("signal {number}"),
            Self::Timeout(seconds) => format!("the timeout of {seconds} s"),
        }
    }
}
