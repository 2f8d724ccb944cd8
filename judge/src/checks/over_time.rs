//! `over_time`: what holds for metrics over the time of each step.

mod growing;
mod queues;
mod staying;

use super::Outcome;
use crate::number::{count, nanos};
use crate::run::Run;
pub(super) use growing::growth;
use ktstr_model::over_time::{Amount, OverTime};
use ktstr_model::Metric;

/// As it reads in a report.
pub(super) fn bound(holds: &OverTime) -> String {
    match holds {
        OverTime::Settles { metric, to, within, samples } => {
            let to = amount(metric, *to);
            format!("{metric} at most {to} from {} on{}", nanos(within.0), in_a_row(*samples))
        }
        OverTime::NeverDecreases { metric } => format!("{metric} must not fall"),
        OverTime::Bounded { metric, low, high, samples } => {
            format!("{metric} {}{}", from_to(metric, *low, *high), in_a_row(*samples))
        }
        OverTime::Rate { metric, low, high } => format!("{metric} {} a second", from_to(metric, *low, *high)),
        OverTime::Ratio { a, b, low, high } => format!("{a} / {b} {}", from_to(&Metric::IdleCpus, *low, *high)),
        OverTime::EqualsSumOfDsq { series, dsqs, samples } => {
            let queues: Vec<String> = dsqs.iter().map(ToString::to_string).collect();
            let queues =
                if dsqs.is_empty() { "all its queues".into() } else { format!("queues {}", queues.join(", ")) };
            format!("series:{series} the number of tasks in {queues}{}", in_a_row(*samples))
        }
        OverTime::NearNow { series, within, clock, samples } => {
            let clock = clock.as_ref().map_or("the clock of the runqueues".into(), |name| format!("series:{name}"));
            format!("series:{series} within {} of {clock}{}", nanos(within.0 as u64), in_a_row(*samples))
        }
    }
}

pub(super) fn judge(run: &Run<'_>, holds: &OverTime) -> Outcome {
    let judged = match holds {
        OverTime::Settles { metric, to, within, samples } => staying::settles(run, metric, *to, within.0, *samples),
        OverTime::Bounded { metric, low, high, samples } => staying::bounded(run, metric, (*low, *high), *samples),
        OverTime::NeverDecreases { metric } => growing::never_decreases(run, metric),
        OverTime::Rate { metric, low, high } => growing::rate(run, metric, (*low, *high)),
        OverTime::Ratio { a, b, low, high } => growing::ratio(run, a, b, (*low, *high)),
        OverTime::EqualsSumOfDsq { series, dsqs, samples } => queues::equals_sum(run, series, dsqs, *samples),
        OverTime::NearNow { series, within, clock, samples } => {
            queues::near_now(run, series, within.0, clock.as_deref(), *samples)
        }
    };
    judged.into()
}

/// Bounds on both sides.
type Range = (Option<Amount>, Option<Amount>);

/// How far a value is outside; 0 or less: it is not.
fn outside(value: f64, (low, high): Range) -> f64 {
    let below = low.map_or(f64::NEG_INFINITY, |low| low.0 - value);
    below.max(high.map_or(f64::NEG_INFINITY, |high| value - high.0))
}

fn from_to(metric: &Metric, low: Option<Amount>, high: Option<Amount>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!("{} to {}", amount(metric, low), amount(metric, high)),
        (Some(low), None) => format!("at least {}", amount(metric, low)),
        (None, Some(high)) => format!("at most {}", amount(metric, high)),
        (None, None) => String::new(),
    }
}

fn amount(metric: &Metric, Amount(value): Amount) -> String {
    if metric.is_time() && value >= 0.0 {
        nanos(value as u64)
    } else {
        value.to_string()
    }
}

fn in_a_row(samples: u32) -> String {
    if samples > 1 {
        format!(", judged by {} in a row", count(samples.into(), "sample"))
    } else {
        String::new()
    }
}
