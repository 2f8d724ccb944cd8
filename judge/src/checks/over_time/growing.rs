//! `never_decreases`, `rate`, `ratio`: what a metric grows by in a step.

use super::{outside, Range};
use crate::checks::{Judged, NoData};
use crate::number::digits;
use crate::rows::{of_metric, show, Point, StepRows};
use crate::run::Run;
use ktstr_model::verdict::Place;
use ktstr_model::{GuestNanos, Metric};

/// What a metric grows by in a step.
pub(crate) struct Growth {
    by: f64,
    nanos: u64,
    pub(crate) until: GuestNanos,
}

impl Growth {
    pub(crate) fn a_second(&self) -> f64 {
        self.by * 1e9 / self.nanos.max(1) as f64
    }
}

/// From the first sample to the last; none if there is only one. Counters begin anew with each scheduler that is attached.
pub(crate) fn growth(step: &StepRows, is_counter: bool) -> Option<Growth> {
    let (first, last) = (step.points().next()?, step.points().last()?);
    let nanos = last.at.0.checked_sub(first.at.0).filter(|nanos| *nanos > 0)?;
    let pairs = step.points().zip(step.points().skip(1));
    let grown =
        pairs.map(|(a, b)| if is_counter && b.value < a.value { b.value } else { b.value.saturating_sub(a.value) });
    Some(Growth { by: grown.map(|by| by as f64).sum(), nanos, until: last.at })
}

pub(super) fn never_decreases(run: &Run<'_>, metric: &Metric) -> Result<Judged, NoData> {
    let steps = of_metric(run, metric)?;
    let mut pairs = 0;
    let mut worst: Option<(i128, u32, i128, &Point)> = None;
    for step in &steps {
        for (a, b) in step.pairs() {
            pairs += 1;
            let fall = a.value.saturating_sub(b.value);
            if fall > 0 && worst.is_none_or(|(worst, ..)| fall > worst) {
                worst = Some((fall, step.step, a.value, b));
            }
        }
    }
    if pairs == 0 {
        return Err(NoData::Unseen(format!("no step has two samples of {metric}")));
    }
    Ok(match worst {
        None => Judged { within: true, measured: format!("{metric} never fell"), ..Judged::default() },
        Some((fall, step, from, to)) => Judged {
            measured: format!(
                "{metric} fell by {}, from {} to {}",
                show(metric, fall),
                show(metric, from),
                show(metric, to.value)
            ),
            place: Place { cpu: to.cpu, step: Some(step), at: Some(to.at), ..Place::default() },
            ..Judged::default()
        },
    })
}

pub(super) fn rate(run: &Run<'_>, metric: &Metric, range: Range) -> Result<Judged, NoData> {
    let steps = of_metric(run, metric)?;
    let rates = steps.iter().filter_map(|step| {
        let growth = growth(step, metric.is_counter())?;
        Some((step.step, growth.a_second(), growth.until))
    });
    let nothing = || NoData::Unseen(format!("no step has two samples of {metric}"));
    worst(rates, range)
        .map(|((step, value, at), within)| {
            judged(step, at, within, format!("{metric} grew by {} a second", digits(value)))
        })
        .ok_or_else(nothing)
}

pub(super) fn ratio(run: &Run<'_>, a: &Metric, b: &Metric, range: Range) -> Result<Judged, NoData> {
    let (of_a, of_b) = (of_metric(run, a)?, of_metric(run, b)?);
    let ratios = of_a.iter().filter_map(|step| {
        let other = of_b.iter().find(|other| other.step == step.step)?;
        let (a, b) = (amount(step, a)?, amount(other, b)?);
        let until = step.points().last()?.at;
        (b != 0.0).then_some((step.step, a / b, until))
    });
    let nothing = || NoData::Unseen(format!("no step has both {a} and {b}, other than 0"));
    worst(ratios, range)
        .map(|((step, value, at), within)| judged(step, at, within, format!("{a} / {b} was {}", digits(value))))
        .ok_or_else(nothing)
}

/// Growth of a counter, the mean of anything else.
fn amount(step: &StepRows, metric: &Metric) -> Option<f64> {
    if metric.is_counter() {
        return growth(step, true).map(|growth| growth.by);
    }
    let number = step.points().count();
    (number > 0).then(|| step.points().map(|point| point.value as f64).sum::<f64>() / number as f64)
}

type OfStep = (u32, f64, GuestNanos);

/// The step whose value is farthest outside, or nearest to being so, and whether it is not.
fn worst(steps: impl Iterator<Item = OfStep>, range: Range) -> Option<(OfStep, bool)> {
    let by = |step: &OfStep| outside(step.1, range);
    let worst = steps.reduce(|worst, next| if by(&next) > by(&worst) { next } else { worst })?;
    Some((worst, by(&worst) <= 0.0))
}

fn judged(step: u32, at: GuestNanos, within: bool, measured: String) -> Judged {
    let place = Place { step: Some(step), at: Some(at), ..Place::default() };
    Judged { within, measured, place, ..Judged::default() }
}
