//! Judges a recording. Pure: no clock, no file, no machine.
//!
//! ```text
//! Recording ──run, samples──▶ Run (what came of each step, segment and worker, and what the host saw of the kernel meanwhile)
//! Run ──endings, topology, checks──▶ [Finding] ──expected──▶ [Finding] ──join──▶ Verdict
//! ```
//!
//! The same recording can be judged again with other checks: see [`overlay`] and [`parse_checks`].

mod checks;
mod endings;
mod expected;
mod host_ops;
mod hung;
mod idle;
mod number;
mod parse;
mod patience;
mod rows;
mod run;
mod samples;
mod scheduler;
mod settings;
mod steal;
mod topology;
mod trace;
mod waits;
mod water;

pub use parse::{overlay, parse_checks, CheckTextError};
pub use trace::missing_switches;

use ktstr_model::floor::ClockOfMachine;
use ktstr_model::verdict::{join, Place};
use ktstr_model::{Case, Cause, Check, Finding, Phase, Verdict};
use ktstr_recording::Recording;
use run::Run;

/// What a case comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Everything that was found: how the machine ended, if it should not have ended so; then a finding for each check, passed
    /// or not. Never empty.
    pub findings: Vec<Finding>,
    /// All of them joined.
    pub verdict: Verdict,
    /// Bounds that the clock of the case cannot tell, one a line. They are judged all the same: a recording is there, and what
    /// is asked of it is its reader's affair.
    pub warnings: Vec<String>,
}

/// Judges a recording by `checks`; those of its case are in `recording.header.case.checks`.
pub fn judge(recording: &Recording, checks: &[Check]) -> Judgement {
    let run = Run::new(recording);
    let mut findings = endings::look(&run, recording);
    findings.extend(topology::look(&run));
    let mut judged: Vec<Finding> = checks.iter().map(|check| checks::look(&run, check)).collect();
    scheduler::say_once(&mut judged);
    let of_scheduler = judged.iter().filter(|finding| finding.cause.is_of_scheduler());
    let explained = findings.iter().chain(of_scheduler).any(|finding| finding.verdict.is_red());
    // A case that broke off has no data for some checks, and says why already.
    findings.extend(judged.into_iter().filter(|finding| !(explained && finding.cause == Cause::NothingToJudge)));
    let ops = host_ops::look(&run, recording);
    // A value that nothing was expected of is no judgement.
    if findings.is_empty() && ops.iter().all(|op| op.verdict == Verdict::Pass && op.bound.is_empty()) {
        findings.push(no_checks());
    }
    findings.extend(ops);
    // Not before: a trace is no judgement.
    findings.extend(trace::look(&run));
    if let Some(expected) = &recording.header.case.expect_failure {
        findings = expected::look(expected, findings);
    }
    let verdict = join(&findings);
    Judgement { findings, verdict, warnings: warnings(&recording.header.case, checks) }
}

fn warnings(case: &Case, checks: &[Check]) -> Vec<String> {
    let machine = ClockOfMachine::of(case);
    let below = checks.iter().flat_map(|check| machine.cannot_tell(&check.bound));
    below.map(|below| format!("{}: {below}; a red does not say that a scheduler is at fault", below.field)).collect()
}

fn no_checks() -> Finding {
    Finding {
        verdict: Verdict::Unknown,
        cause: Cause::NothingToJudge,
        phase: Phase::Run,
        check: None,
        measured: "nothing to judge: all checks are switched off".into(),
        bound: String::new(),
        origin: None,
        place: Place::default(),
        explanation: String::new(),
    }
}
