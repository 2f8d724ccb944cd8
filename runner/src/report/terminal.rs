//! Lines that stay and a line that changes, on one terminal.

use super::progress::Progress;
use super::{Console, Reporter, RunEvent};
use std::io::Stdout;

/// Prints to standard output and shows what is going on.
#[derive(Debug)]
pub(crate) struct Terminal {
    console: Console<Stdout>,
    progress: Progress,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self { console: Console::new(std::io::stdout()), progress: Progress::new() }
    }
}

impl Reporter for Terminal {
    fn report(&mut self, event: &RunEvent<'_>) {
        self.progress.suspend(|| self.console.report(event));
        self.progress.report(event);
    }
}
