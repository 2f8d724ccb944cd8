//! Checks, one a file. Each looks at everything there is and answers with its worst place.
//!
//! To add a check: a variant of [`Bound`] and its layer in `ktstr_model::check`, a file here, a line in [`look`], its text
//! form in `parse.rs`, a constructor argument in the Starlark `checks()`, a row in the guide, and a history in
//! `tests/checks.rs` that fails by it, or in `tests/samples.rs` if it looks at samples.

mod event_rate;
mod isolation;
mod max_gap;
mod max_in_a_row;
mod max_spread;
mod max_wakeup_latency;
mod min_work_rate;
mod not_starved;
mod over_time;
mod weight_share;
mod work_conserving;

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
    /// There could not be, since the kernel has it not or cannot be looked at, and why.
    Lacks(String),
}

/// Why samples have nothing to look at.
pub(crate) enum NoData {
    /// It was not there.
    Unseen(String),
    /// It could not be there.
    Lacking(String),
}

impl From<NoData> for Outcome {
    fn from(none: NoData) -> Self {
        match none {
            NoData::Unseen(why) => Self::Nothing(why),
            NoData::Lacking(why) => Self::Lacks(why),
        }
    }
}

impl From<Result<Judged, NoData>> for Outcome {
    fn from(judged: Result<Judged, NoData>) -> Self {
        judged.map_or_else(Self::from, Self::Judged)
    }
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
        Bound::NotStarved => (not_starved::bound(run), not_starved::judge(run)),
        Bound::MaxGap(bound) => (max_gap::bound(*bound), max_gap::judge(run, *bound)),
        Bound::MaxSpread(bound) => (max_spread::bound(*bound), max_spread::judge(run, *bound)),
        Bound::WeightShare(bound) => (weight_share::bound(*bound), weight_share::judge(run, *bound)),
        Bound::Isolation => (isolation::bound(), isolation::judge(run)),
        Bound::MinWorkRate(bound) => (min_work_rate::bound(*bound), min_work_rate::judge(run, *bound)),
        Bound::MaxWakeupLatency(bounds) => (max_wakeup_latency::bound(bounds), max_wakeup_latency::judge(run, bounds)),
        Bound::WorkConserving(bound) => (work_conserving::bound(*bound), work_conserving::judge(run, *bound)),
        Bound::MaxImbalance(most) => (max_in_a_row::bound(*most), max_in_a_row::imbalance(run, *most)),
        Bound::MaxDsqDepth(most) => (max_in_a_row::bound(*most), max_in_a_row::dsq_depth(run, *most)),
        Bound::MaxFallbackRate(most) => (event_rate::bound(*most), event_rate::fallback(run, *most)),
        Bound::MaxKeepLastRate(most) => (event_rate::bound(*most), event_rate::keep_last(run, *most)),
        Bound::OverTime(holds) => (over_time::bound(holds), over_time::judge(run, holds)),
    };
    // What is wrong is so, whatever came after it.
    let stopped = run.samples.stopped().filter(|_| check.bound.needs_samples());
    let outcome = match (outcome, stopped) {
        (Outcome::Judged(judged), Some(why)) if judged.within => Outcome::Nothing(why),
        (outcome, _) => outcome,
    };
    let (verdict, cause, judged) = match outcome {
        Outcome::Judged(judged) if judged.within => (Verdict::Pass, Cause::Check, judged),
        Outcome::Judged(judged) => (Verdict::Fail, Cause::Check, judged),
        Outcome::Lacks(why) if check.may_lack => {
            let measured = format!("not judged, as may_lack allows: {why}");
            (Verdict::Pass, Cause::NothingToJudge, Judged { measured, ..Judged::default() })
        }
        Outcome::Lacks(why) => {
            let explanation = "may_lack = True in the checks would let it pass without a look".into();
            let measured = format!("nothing to judge: {why}");
            (Verdict::Unknown, Cause::NothingToJudge, Judged { measured, explanation, ..Judged::default() })
        }
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
