//! What each case is doing, on a terminal while it runs. Elsewhere nothing is shown: a log is no place for it.

use super::{Reporter, RunEvent, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// A line at the bottom of the terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {prefix}: {msg} {elapsed}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Takes the line away while `print` writes to the terminal.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Reporter for Progress {
    fn report(&mut self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Planned { selected, .. } => self.bar.set_length(selected.len() as u64),
            RunEvent::CaseStarted { case } => {
                self.bar.reset_elapsed();
                self.bar.set_prefix(case.name.clone());
                self.bar.enable_steady_tick(Duration::from_millis(200));
            }
            RunEvent::CaseStage { stage, .. } => self.bar.set_message(describe(*stage)),
            RunEvent::CaseFinished { .. } => self.bar.inc(1),
            RunEvent::Finished { .. } => self.bar.finish_and_clear(),
            RunEvent::Warning { .. } | RunEvent::Replayed { .. } | RunEvent::AllReplayed { .. } => {}
        }
    }
}

fn describe(stage: Stage) -> String {
    match stage {
        Stage::Starting => "starts".into(),
        Stage::Booting => "boots".into(),
        Stage::Running { step, steps } => format!("step {} of {steps}", step + 1),
        Stage::Judging => "is judged".into(),
    }
}
