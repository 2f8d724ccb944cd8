//! `max_imbalance`, `max_dsq_depth`: a number of the runqueues or the dispatch queues, too large for so many samples in a row.

use super::{Judged, NoData, Outcome};
use crate::number::count;
use crate::rows::{of_metric, sustained};
use crate::run::Run;
use ktstr_model::over_time::Sustained;
use ktstr_model::verdict::Place;
use ktstr_model::Metric;

pub(super) fn bound(most: Sustained) -> String {
    format!("at most {} for {} in a row", most.bound, count(most.samples.into(), "sample"))
}

pub(super) fn imbalance(run: &Run<'_>, most: Sustained) -> Outcome {
    judge(run, &Metric::Imbalance, most, |value| format!("imbalance of {value}")).into()
}

pub(super) fn dsq_depth(run: &Run<'_>, most: Sustained) -> Outcome {
    judge(run, &Metric::DsqDepth, most, |value| count(value as u64, "task")).into()
}

fn judge(run: &Run<'_>, metric: &Metric, most: Sustained, say: impl Fn(i128) -> String) -> Result<Judged, NoData> {
    let steps = of_metric(run, metric)?;
    let of_step = steps.iter().map(|step| (step, sustained(&step.rows, most.samples, |point| point.value as f64)));
    let stretches = of_step.filter_map(|(step, stretch)| Some((step, stretch?)));
    let worst = stretches.reduce(|worst, next| if next.1 .1 > worst.1 .1 { next } else { worst });
    let Some((step, (point, value))) = worst else {
        return Err(NoData::Unseen(format!(
            "no step has {} of {metric} in a row",
            count(most.samples.into(), "sample")
        )));
    };
    Ok(Judged {
        within: value <= f64::from(most.bound),
        measured: format!("{}{}", say(point.value), point.whose),
        place: Place { cpu: point.cpu, step: Some(step.step), at: Some(point.at), ..Place::default() },
        explanation: format!("so many or more for {} in a row", count(most.samples.into(), "sample")),
        hold_off: None,
    })
}
