//! Checks, one a file. Each looks at everything there is and answers with its worst place.
//!
//! To add a check: a variant of [`Bound`] and its layer in `ktstr_model::check`, a file here, a line in [`look`], its text
//! form in `parse.rs`, a constructor argument in the Starlark `checks()`, a row in the guide, and a history in
//! `tests/checks.rs` that fails by it.

mod isolation;
mod max_gap;
mod max_spread;
mod max_wakeup_latency;
mod min_work_rate;
mod not_starved;
mod weight_share;

use crate::run::Run;
use crate::{scheduler, steal};
use ktstr_model::verdict::Place;
use ktstr_model::{Bound, Cause, Check, Finding, Phase, Verdict};

/// What a check comes to.
pub(crate) enum Outcome {
    /// There was something to look at.
    Judged(Judged),
    /// There was not, and why.
    Nothing(String),
}

/// The worst that a check has seen.
#[derive(Default)]
pub(crate) struct Judged {
    /// Whether it is within the bound.
    pub(crate) within: bool,
    /// What it is, with its unit.
    pub(crate) measured: String,
    /// Where.
    pub(crate) place: Place,
    /// What it means.
    pub(crate) explanation: String,
    /// How long the host has to hold off a CPU at once, in nanoseconds, for this to be its doing; none: it never is.
    pub(crate) hold_off: Option<u64>,
}

/// Judges a run by one check.
pub(crate) fn look(run: &Run<'_>, check: &Check) -> Finding {
    let (bound, outcome) = match &check.bound {
        Bound::SchedulerAlive | Bound::NoStall | Bound::NoErrorLog => return scheduler::look(run, check),
        Bound::NotStarved => (not_starved::bound(), not_starved::judge(run)),
        Bound::MaxGap(bound) => (max_gap::bound(*bound), max_gap::judge(run, *bound)),
        Bound::MaxSpread(bound) => (max_spread::bound(*bound), max_spread::judge(run, *bound)),
        Bound::WeightShare(bound) => (weight_share::bound(*bound), weight_share::judge(run, *bound)),
        Bound::Isolation => (isolation::bound(), isolation::judge(run)),
        Bound::MinWorkRate(bound) => (min_work_rate::bound(*bound), min_work_rate::judge(run, *bound)),
        Bound::MaxWakeupLatency(bounds) => (max_wakeup_latency::bound(bounds), max_wakeup_latency::judge(run, bounds)),
    };
    let (verdict, cause, judged) = match outcome {
        Outcome::Judged(judged) if judged.within => (Verdict::Pass, Cause::Check, judged),
        Outcome::Judged(judged) => (Verdict::Fail, Cause::Check, judged),
        Outcome::Nothing(why) => {
            let why = if run.segments.is_empty() { "the case came to the end of no hold".into() } else { why };
            let measured = format!("nothing to judge: {why}");
            (Verdict::Unknown, Cause::NothingToJudge, Judged { measured, ..Judged::default() })
        }
    };
    let finding = Finding {
        verdict,
        cause,
        phase: Phase::Run,
        check: Some(check.bound.name().into()),
        measured: judged.measured,
        bound,
        origin: Some(check.origin),
        place: judged.place,
        explanation: if verdict == Verdict::Pass { String::new() } else { judged.explanation },
    };
    steal::excuse(run, finding, judged.hold_off)
}
