//! `bounded`, `settles`: values that stay within bounds, or come there.

use super::{outside, Range};
use crate::checks::{Judged, NoData};
use crate::number::{count, nanos};
use crate::rows::{of_metric, show, sustained, Point, StepRows};
use crate::run::Run;
use ktstr_model::over_time::Amount;
use ktstr_model::verdict::Place;
use ktstr_model::Metric;

pub(super) fn bounded(run: &Run<'_>, metric: &Metric, range: Range, samples: u32) -> Result<Judged, NoData> {
    let steps = of_metric(run, metric)?;
    let say = |point: &Point| format!("{metric} of {}{}", show(metric, point.value), point.whose);
    worst(&steps, samples, |point| outside(point.value as f64, range), say)
}

pub(super) fn settles(run: &Run<'_>, metric: &Metric, to: Amount, within: u64, samples: u32) -> Result<Judged, NoData> {
    let mut steps = of_metric(run, metric)?;
    for step in &mut steps {
        let from = step.start.0.saturating_add(within);
        step.rows.iter_mut().for_each(|row| row.retain(|point| point.at.0 >= from));
    }
    if steps.iter().all(|step| step.points().next().is_none()) {
        return Err(NoData::Unseen(format!("no step has a sample of {metric} after {}", nanos(within))));
    }
    let say = |point: &Point| {
        let start =
            steps.iter().map(|step| step.start.0).filter(|start| *start <= point.at.0).max().unwrap_or_default();
        let after = nanos(point.at.0 - start);
        format!("{metric} of {}{} after {after} of the step", show(metric, point.value), point.whose)
    };
    worst(&steps, samples, |point| point.value as f64 - to.0, say)
}

/// What the worst stretch of so many samples comes to; `excess` is above 0 outside of the bounds.
pub(super) fn worst(
    steps: &[StepRows],
    samples: u32,
    excess: impl Fn(&Point) -> f64,
    say: impl Fn(&Point) -> String,
) -> Result<Judged, NoData> {
    let stretches = steps.iter().filter_map(|step| Some((step, sustained(&step.rows, samples, &excess)?)));
    let worst = stretches.reduce(|worst, next| if next.1 .1 > worst.1 .1 { next } else { worst });
    let Some((step, (point, excess))) = worst else {
        return Err(NoData::Unseen(format!("no step has {} in a row", count(samples.into(), "sample"))));
    };
    let more = format!("so far off or further for {} in a row", count(samples.into(), "sample"));
    Ok(Judged {
        within: excess <= 0.0,
        measured: say(point),
        place: Place { cpu: point.cpu, step: Some(step.step), at: Some(point.at), ..Place::default() },
        explanation: if samples > 1 { more } else { String::new() },
        hold_off: None,
    })
}
