//! Runs one case: `Case ──window, machine──▶ recording file ──recorded──▶ Outcome`.
//!
//! Everything that can block or fail on the host is here. Whatever goes wrong becomes a record, so that the verdict always
//! comes from the recording and from nothing else.

mod attempt;
mod ending;
mod host_ops;
mod sampling;
mod steal;
mod watch;

use crate::inputs::Inputs;
use crate::recorded;
use crate::report::Stage;
use crate::run::{about_the_run, not_run, Outcome};
use crate::stop::Stop;
use attempt::Attempt;
pub(crate) use host_ops::check_ops;
use ktstr_model::{Case, Cause, Verdict};
use ktstr_recording::{Header, Recording, WriteError, Writer};
use ktstr_vmm::MachineBackend;
use std::error::Error;
use std::path::Path;
use std::time::Instant;
pub(crate) use watch::{Silence, Watch};

/// What all cases of a run share.
pub(crate) struct Executor<'a> {
    /// What cases are made of.
    pub(crate) inputs: &'a Inputs,
    /// What runs machines, or why the back end that was asked for cannot.
    pub(crate) backend: Result<&'a dyn MachineBackend, &'a str>,
    /// When to end.
    pub(crate) stop: &'a Stop,
    /// For the files of running machines.
    pub(crate) scratch: &'a Path,
    /// For recordings.
    pub(crate) recordings: &'a Path,
}

impl Executor<'_> {
    /// Runs a case and judges what was recorded.
    pub(crate) fn execute(&self, case: &Case, on_stage: &mut dyn FnMut(Stage)) -> Outcome {
        let file = recording_name(&case.name);
        let path = self.recordings.join(&file);
        let recorded = match self.new_recording(case, &path) {
            Ok(writer) => self.record(case, writer, on_stage),
            // What may lie there is of another run.
            Err(error) => return not_run(about_the_run(Verdict::Infrastructure, Cause::Host, in_full(&error))),
        };
        on_stage(Stage::Judging);
        let since = Instant::now();
        let read = Recording::read(&path);
        let mut outcome = match &read {
            Ok(recording) => recorded::outcome(recording, &case.checks),
            Err(error) => not_run(about_the_run(Verdict::Infrastructure, Cause::Host, in_full(error))),
        };
        if let Err(error) = recorded {
            outcome.findings.insert(0, about_the_run(Verdict::Infrastructure, Cause::Host, in_full(&error)));
        }
        outcome.recording = read.is_ok().then_some(file);
        outcome.timings.judge = since.elapsed().as_secs_f64();
        outcome
    }

    fn new_recording(&self, case: &Case, path: &Path) -> Result<Writer, WriteError> {
        let header = Header { made_by: concat!("ktstr ", env!("CARGO_PKG_VERSION")).into(), case: case.clone() };
        Writer::create(path, &header)
    }

    /// Only a recording that cannot be written is an error; everything else is recorded.
    fn record(&self, case: &Case, writer: Writer, on_stage: &mut dyn FnMut(Stage)) -> Result<(), WriteError> {
        let mut attempt = Attempt::new(self, case, writer, on_stage);
        if let Err(failure) = attempt.run() {
            attempt.host_failed(failure)?;
        }
        attempt.finish()
    }
}

/// `t[1n1l2c1t][s0]` becomes `t-1n1l2c1t-s0.ktstr`: a name that needs no quotes in a shell, and no directory for a target such
/// as `a/b`.
fn recording_name(case: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    format!("{}.ktstr", case.chars().filter(|c| *c != ']').map(plain).collect::<String>())
}

/// An error with all its causes in one line.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text += &format!(": {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_have_names_that_a_shell_leaves_alone() {
        assert_eq!(recording_name("t[1n1l2c1t][s0]"), "t-1n1l2c1t-s0.ktstr");
        assert_eq!(recording_name("a/it's[1n1l2c1t][s0]"), "a-it-s-1n1l2c1t-s0.ktstr");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = WriteError::Io { path: "/x".into(), source: std::io::ErrorKind::StorageFull.into() };
        assert!(in_full(&error).contains("/x"), "{}", in_full(&error));
        assert!(in_full(&error).contains("no storage space"), "{}", in_full(&error));
    }
}
