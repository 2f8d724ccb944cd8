//! `max_fallback_rate`, `max_keep_last_rate`: how often a second sched_ext counts an event, step by step.

use super::over_time::growth;
use super::{Judged, NoData, Outcome};
use crate::number::rate;
use crate::rows::of_metric;
use crate::run::Run;
use ktstr_model::verdict::Place;
use ktstr_model::Metric;

pub(super) fn bound(most: f64) -> String {
    format!("at most {}", rate(most))
}

pub(super) fn fallback(run: &Run<'_>, most: f64) -> Outcome {
    let what = "its scheduler chose a CPU that the task may not use, and the kernel another";
    judge(run, "SCX_EV_SELECT_CPU_FALLBACK", most, what).into()
}

pub(super) fn keep_last(run: &Run<'_>, most: f64) -> Outcome {
    let what = "a task went on since its slice was over and the scheduler had dispatched no other";
    judge(run, "SCX_EV_DISPATCH_KEEP_LAST", most, what).into()
}

fn judge(run: &Run<'_>, event: &str, most: f64, what: &str) -> Result<Judged, NoData> {
    let metric = Metric::Event(event.into());
    let steps = of_metric(run, &metric)?;
    let rates = steps.iter().filter_map(|step| Some((step.step, growth(step, true)?)));
    let Some((step, growth)) = rates.reduce(|a, b| if b.1.a_second() > a.1.a_second() { b } else { a }) else {
        return Err(NoData::Unseen(format!("no step has two samples of {metric}")));
    };
    Ok(Judged {
        within: growth.a_second() <= most,
        measured: rate(growth.a_second()),
        place: Place { step: Some(step), at: Some(growth.until), ..Place::default() },
        explanation: format!("{event}: {what}"),
        hold_off: None,
    })
}
