//! Runs the selected cases one after another and keeps the reports up to date, so that nothing is lost whenever the
//! process ends.

use crate::planning::Planned;
use crate::report::{
    CaseReport, ReportError, ReportFiles, Reporter, RunEvent, Stage, TargetReport, Timings, REPORT_VERSION,
};
use crate::rerun::Rerun;
use crate::select::Shard;
use crate::stop::Stop;
use ktstr_model::verdict::{join, Place};
use ktstr_model::{Case, Cause, Finding, Phase, Verdict};
use ktstr_recording::CpuSteal;
use ktstr_timeline::Page;
use std::time::Instant;

/// Reports are written after each case, as long as that takes less than one part in this many of the time: with thousands of
/// cases it would not.
const WRITE_SHARE: u32 = 20;

/// How a target is run.
pub(crate) struct Run<'a> {
    /// Label or name of the target.
    pub(crate) target: &'a str,
    /// Its cases.
    pub(crate) planned: &'a Planned,
    /// Which part of the target this is.
    pub(crate) shard: Shard,
    /// Whether to end after the first red case.
    pub(crate) fail_fast: bool,
    /// When to end.
    pub(crate) stop: &'a Stop,
    /// What to write.
    pub(crate) files: &'a ReportFiles,
    /// The command that runs a case again.
    pub(crate) rerun: &'a Rerun,
    /// The seed that was drawn, if the declaration asks for that.
    pub(crate) random_seed: Option<u64>,
}

/// What a case came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Everything that was found.
    pub(crate) findings: Vec<Finding>,
    /// Bounds that the clock of the case cannot tell.
    pub(crate) warnings: Vec<String>,
    /// How long it took.
    pub(crate) timings: Timings,
    /// How the machine ended, in words.
    pub(crate) ending: Option<String>,
    /// What the host took from each CPU, if it is known.
    pub(crate) host_steal: Vec<CpuSteal>,
    /// Version of the back end; empty if it did not start.
    pub(crate) backend_version: String,
    /// `uname -r`; empty if the guest did not say.
    pub(crate) kernel: String,
    /// File name of the recording.
    pub(crate) recording: Option<String>,
    /// How much the guest said.
    pub(crate) guest_events: usize,
    /// The rolling hash over it; empty without a recording.
    pub(crate) guest_sha256: String,
    /// Last lines of the console.
    pub(crate) console: Vec<String>,
}

impl Run<'_> {
    /// Runs all cases through `execute`.
    ///
    /// # Errors
    /// A report that cannot be written; the cases are run to the end all the same.
    pub(crate) fn run(
        &self,
        reporter: &mut dyn Reporter,
        mut execute: impl FnMut(&Case, &mut dyn FnMut(Stage)) -> Outcome,
    ) -> (TargetReport, Result<(), ReportError>) {
        let selected = &self.planned.selected;
        reporter.report(&RunEvent::Planned { target: self.target, selected, planned: self.planned.all });
        self.planned.warnings.iter().for_each(|text| reporter.report(&RunEvent::Warning { text }));
        let mut report = self.empty_report();
        let mut page = Page::default();
        let mut written = self.files.write(&report, &page);
        let mut next_write = Instant::now();
        for case in selected {
            let outcome = match self.reason_not_to_run(&report) {
                Some(finding) => not_run(finding),
                None => {
                    reporter.report(&RunEvent::CaseStarted { case });
                    execute(case, &mut |stage| reporter.report(&RunEvent::CaseStage { stage }))
                }
            };
            let replay = outcome.recording.as_ref().and_then(|file| self.rerun.replay(file, has_kernel(case)));
            let case_report = outcome.report(case, self.rerun.command(&case.name, self.random_seed), replay);
            reporter.report(&RunEvent::CaseFinished { report: &case_report });
            report.verdict = report.verdict.max(case_report.verdict);
            self.files.add(&case_report, &mut page);
            report.cases.push(case_report);
            if Instant::now() >= next_write {
                let since = Instant::now();
                written = self.files.write(&report, &page);
                next_write = Instant::now() + since.elapsed() * WRITE_SHARE;
            }
        }
        if let Some(problem) = self.all_skipped(&report) {
            reporter.report(&RunEvent::Warning { text: &problem });
            report.verdict = report.verdict.max(Verdict::Unknown);
            report.warnings.push(problem);
        }
        if !selected.is_empty() {
            written = self.files.write(&report, &page);
        }
        reporter.report(&RunEvent::Finished { report: &report });
        (report, written)
    }

    fn empty_report(&self) -> TargetReport {
        TargetReport {
            version: REPORT_VERSION,
            target: self.target.into(),
            shard: self.shard.index(),
            shards: self.shard.total(),
            // Bazel wants a shard without cases, and a filter that takes nothing, to pass; both have warned.
            verdict: Verdict::Pass,
            cases: Vec::new(),
            warnings: self.planned.warnings.clone(),
        }
    }

    /// What is wrong with a target of which no case was run, since its kernel lacks something.
    fn all_skipped(&self, report: &TargetReport) -> Option<String> {
        let skip = self.planned.skip.as_ref().filter(|skip| !skip.allowed && !report.cases.is_empty())?;
        Some(format!(
            "every case is skipped: {}. This target tests nothing: another kernel, or `may_skip = True` to say that this may be",
            skip.reason
        ))
    }

    fn reason_not_to_run(&self, report: &TargetReport) -> Option<Finding> {
        if let Some(reason) = self.stop.reason() {
            let measured = format!("not started: {reason} came before");
            return Some(about_the_run(Verdict::Infrastructure, Cause::Interrupted, measured));
        }
        if let Some(skip) = &self.planned.skip {
            return Some(about_the_run(Verdict::Skipped, Cause::KernelLacks, skip.reason.clone()));
        }
        let red = report.cases.iter().find(|case| case.verdict.is_red()).filter(|_| self.fail_fast)?;
        let measured = format!("not run after {} was {}", red.name, red.verdict.name());
        Some(about_the_run(Verdict::Skipped, Cause::Interrupted, measured))
    }
}

impl Outcome {
    /// Everything that is to be said about the case; `rerun` is the command that runs it again, `replay` the one that does so
    /// and compares with the recording.
    pub(crate) fn report(self, case: &Case, rerun: String, replay: Option<String>) -> CaseReport {
        let verdict = join(&self.findings);
        CaseReport {
            name: case.name.clone(),
            key: crate::inputs::hash(&serde_json::to_vec(case).unwrap_or_default()),
            topology: case.topology.to_string(),
            profile: case.profile.clone(),
            backend: case.backend.name().into(),
            backend_version: self.backend_version,
            clock: case.clock.name().into(),
            start: case.start.name().into(),
            seed: case.seed,
            kernel: self.kernel,
            verdict,
            findings: self.findings,
            warnings: self.warnings,
            timings: self.timings,
            ending: self.ending,
            host_steal: self.host_steal,
            recording: self.recording,
            guest_events: self.guest_events,
            guest_sha256: self.guest_sha256,
            console: if verdict.is_red() { self.console } else { Vec::new() },
            rerun,
            replay,
        }
    }
}

fn has_kernel(case: &Case) -> bool {
    case.inputs.iter().any(|input| input.name == "kernel")
}

/// What a case comes to that has no recording.
pub(crate) fn not_run(finding: Finding) -> Outcome {
    Outcome {
        findings: vec![finding],
        warnings: Vec::new(),
        timings: Timings::default(),
        ending: None,
        host_steal: Vec::new(),
        backend_version: String::new(),
        kernel: String::new(),
        recording: None,
        guest_events: 0,
        guest_sha256: String::new(),
        console: Vec::new(),
    }
}

/// A finding about the run, not about the guest.
pub(crate) fn about_the_run(verdict: Verdict, cause: Cause, measured: String) -> Finding {
    Finding {
        verdict,
        cause,
        phase: Phase::Prepare,
        check: None,
        measured,
        bound: String::new(),
        origin: None,
        place: Place::default(),
        explanation: String::new(),
    }
}
