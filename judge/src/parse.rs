//! Checks as a text, for the command line: `max_gap=500ms`, `max_gap=off`, `max_wakeup_latency.p99=5ms`, `max_imbalance=2:10`. What holds over
//! time is written as in a declaration: `over_time={"bounded": {"metric": "idle_cpus", "high": 1}}`.

use ktstr_model::check::{merge, Has};
use ktstr_model::field::{from_json, nearest};
use ktstr_model::over_time::Sustained;
use ktstr_model::spec::{ChecksSpec, LatencyBounds, Switch};
use ktstr_model::{Bound, Check, Nanos, Origin, OverTime};

/// A text that is not a check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckTextError {
    /// No `=`.
    #[error("`{text}` has no bound; write NAME=BOUND, such as max_gap=500ms, or NAME=off")]
    NoBound {
        /// The whole text.
        text: String,
    },
    /// No such check.
    #[error("there is no check `{name}`; {}", near(name, NAMES))]
    UnknownCheck {
        /// What was written.
        name: String,
    },
    /// No such percentile.
    #[error("max_wakeup_latency has no part `{part}`; {}", near(part, PARTS))]
    UnknownPart {
        /// What was written.
        part: String,
    },
    /// A bound of another kind.
    #[error("`{value}` is no bound of {name}: it takes {takes}")]
    Bound {
        /// The check.
        name: String,
        /// What was written.
        value: String,
        /// What would do.
        takes: &'static str,
    },
    /// No declaration of what holds over time.
    #[error("over_time: {problem}")]
    OverTime {
        /// What is wrong.
        problem: String,
    },
}

const NAMES: &[&str] = &[
    "scheduler_alive",
    "no_stall",
    "no_error_log",
    "not_starved",
    "max_gap",
    "max_spread",
    "weight_share",
    "isolation",
    "min_work_rate",
    "max_wakeup_latency",
    "work_conserving",
    "max_imbalance",
    "max_dsq_depth",
    "max_fallback_rate",
    "max_keep_last_rate",
    "over_time",
    "may_lack",
];
const PARTS: &[&str] = &["p50", "p99", "p999", "max"];

const ON_OFF: &str = "on or off";
const DURATION: &str = "a duration such as 500ms, or off";
const PART: &str = "a part of the mean such as 0.15, or off";
const SHARE: &str = "a part of the share such as 0.25, or off";
const RATE: &str = "iterations per second such as 100, or off";
const EVENTS: &str = "events per second such as 10, or off";
const IN_A_ROW: &str = "a number, and samples in a row that it takes, such as 2:10, or off";
const LATENCY: &str = "a duration for one of its parts, such as max_wakeup_latency.p99=5ms, or off";

fn near(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

/// Reads checks as a layer. Parts of `max_wakeup_latency` add up; otherwise the last text wins.
///
/// # Errors
/// The first text that is not a check.
pub fn parse_checks<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<ChecksSpec, CheckTextError> {
    let mut layer = ChecksSpec::default();
    texts.into_iter().try_for_each(|text| parse_into(&mut layer, text.as_ref()))?;
    Ok(layer)
}

/// The checks of a case with a layer from the command line on top.
pub fn overlay(checks: &[Check], layer: &ChecksSpec) -> Vec<Check> {
    let said = merge(&[(Origin::CommandLine, layer)], Has::default());
    let mentioned = |name: &str| match name {
        "scheduler_alive" => layer.scheduler_alive.is_some(),
        "no_stall" => layer.no_stall.is_some(),
        "no_error_log" => layer.no_error_log.is_some(),
        "not_starved" => layer.not_starved.is_some(),
        "max_gap" => layer.max_gap.is_some(),
        "max_spread" => layer.max_spread.is_some(),
        "weight_share" => layer.weight_share.is_some(),
        "isolation" => layer.isolation.is_some(),
        "min_work_rate" => layer.min_work_rate.is_some(),
        "max_wakeup_latency" => layer.max_wakeup_latency.is_some(),
        "work_conserving" => layer.work_conserving.is_some(),
        "max_imbalance" => layer.max_imbalance.is_some(),
        "max_dsq_depth" => layer.max_dsq_depth.is_some(),
        "max_fallback_rate" => layer.max_fallback_rate.is_some(),
        "max_keep_last_rate" => layer.max_keep_last_rate.is_some(),
        // Lists are joined.
        "over_time" => matches!(layer.over_time, Some(Switch::Flag(_))),
        _ => false,
    };
    let kept = checks.iter().filter(|check| !mentioned(name(check))).cloned();
    let mut all: Vec<Check> =
        kept.chain(said.into_iter().filter(|check| check.origin == Origin::CommandLine)).collect();
    if let Some(may_lack) = layer.may_lack {
        all.iter_mut().for_each(|check| check.may_lack = may_lack && check.bound.needs_samples());
    }
    all.sort_by_key(|check| NAMES.iter().position(|known| *known == name(check)));
    all
}

/// Name of the field of `checks` that a check comes from.
fn name(check: &Check) -> &'static str {
    match &check.bound {
        Bound::OverTime(_) => "over_time",
        bound => bound.name(),
    }
}

fn parse_into(layer: &mut ChecksSpec, text: &str) -> Result<(), CheckTextError> {
    let (name, value) = text.split_once('=').ok_or_else(|| CheckTextError::NoBound { text: text.into() })?;
    let (name, part) = match name.split_once('.') {
        Some((name, part)) => (name, Some(part)),
        None => (name, None),
    };
    let bound = |takes| CheckTextError::Bound { name: name.into(), value: value.into(), takes };
    match (name, part) {
        ("scheduler_alive", None) => layer.scheduler_alive = Some(on_off(value).ok_or_else(|| bound(ON_OFF))?),
        ("no_stall", None) => layer.no_stall = Some(on_off(value).ok_or_else(|| bound(ON_OFF))?),
        ("no_error_log", None) => layer.no_error_log = Some(on_off(value).ok_or_else(|| bound(ON_OFF))?),
        ("not_starved", None) => layer.not_starved = Some(on_off(value).ok_or_else(|| bound(ON_OFF))?),
        ("isolation", None) => layer.isolation = Some(on_off(value).ok_or_else(|| bound(ON_OFF))?),
        ("max_gap", None) => layer.max_gap = Some(switch(value, duration).ok_or_else(|| bound(DURATION))?),
        ("max_spread", None) => {
            layer.max_spread = Some(switch(value, |text| number(text, 0.0)).ok_or_else(|| bound(PART))?);
        }
        ("weight_share", None) => {
            layer.weight_share = Some(switch(value, |text| number(text, 0.0)).ok_or_else(|| bound(SHARE))?);
        }
        ("min_work_rate", None) => {
            layer.min_work_rate =
                Some(switch(value, |text| number(text, f64::MIN_POSITIVE)).ok_or_else(|| bound(RATE))?);
        }
        ("work_conserving", None) => {
            layer.work_conserving = Some(switch(value, duration).ok_or_else(|| bound(DURATION))?);
        }
        ("max_imbalance", None) => layer.max_imbalance = Some(switch(value, sustained).ok_or_else(|| bound(IN_A_ROW))?),
        ("max_dsq_depth", None) => layer.max_dsq_depth = Some(switch(value, sustained).ok_or_else(|| bound(IN_A_ROW))?),
        ("max_fallback_rate", None) => {
            layer.max_fallback_rate = Some(switch(value, |text| number(text, 0.0)).ok_or_else(|| bound(EVENTS))?);
        }
        ("max_keep_last_rate", None) => {
            layer.max_keep_last_rate = Some(switch(value, |text| number(text, 0.0)).ok_or_else(|| bound(EVENTS))?);
        }
        ("may_lack", None) => layer.may_lack = Some(on_off(value).ok_or_else(|| bound(ON_OFF))?),
        ("over_time", None) if on_off(value) == Some(false) => layer.over_time = Some(Switch::Flag(false)),
        ("over_time", None) => {
            let mut list = match layer.over_time.take() {
                Some(Switch::Bound(list)) => list,
                _ => Vec::new(),
            };
            list.push(over_time(value)?);
            layer.over_time = Some(Switch::Bound(list));
        }
        ("max_wakeup_latency", None) => {
            // Without a part there is nothing to bound, only to switch off.
            layer.max_wakeup_latency = Some(switch(value, |_| None).ok_or_else(|| bound(LATENCY))?);
        }
        ("max_wakeup_latency", Some(part)) => {
            let mut bounds = match &layer.max_wakeup_latency {
                Some(Switch::Bound(bounds)) => *bounds,
                _ => LatencyBounds::default(),
            };
            let place = match part {
                "p50" => &mut bounds.p50,
                "p99" => &mut bounds.p99,
                "p999" => &mut bounds.p999,
                "max" => &mut bounds.max,
                _ => return Err(CheckTextError::UnknownPart { part: part.into() }),
            };
            *place = Some(duration(value).ok_or_else(|| bound(LATENCY))?);
            layer.max_wakeup_latency = Some(Switch::Bound(bounds));
        }
        _ => {
            let name = part.map_or(name.to_owned(), |part| format!("{name}.{part}"));
            return Err(CheckTextError::UnknownCheck { name });
        }
    }
    Ok(())
}

fn over_time(json: &str) -> Result<OverTime, CheckTextError> {
    let holds: Result<OverTime, _> = from_json(json);
    let checked = holds.and_then(|holds| holds.check("").map(|()| holds));
    checked.map_err(|error| CheckTextError::OverTime { problem: error.to_string() })
}

fn sustained(value: &str) -> Option<Sustained> {
    let (bound, samples) = value.split_once(':')?;
    let (bound, samples) = (bound.parse().ok()?, samples.parse().ok().filter(|samples| *samples > 0)?);
    Some(Sustained { bound, samples })
}

fn on_off(value: &str) -> Option<bool> {
    match value {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    }
}

fn switch<T>(value: &str, bound: impl Fn(&str) -> Option<T>) -> Option<Switch<T>> {
    match on_off(value) {
        Some(false) => Some(Switch::Flag(false)),
        _ => bound(value).map(Switch::Bound),
    }
}

fn duration(value: &str) -> Option<Nanos> {
    value.parse().ok().filter(|bound| *bound > Nanos(0))
}

fn number(value: &str, least: f64) -> Option<f64> {
    value.parse().ok().filter(|number: &f64| number.is_finite() && *number >= least)
}

#[cfg(test)]
mod tests;
