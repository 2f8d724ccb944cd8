//! Checks as a text, for the command line: `max_gap=500ms`, `max_gap=off`, `max_wakeup_latency.p99=5ms`.

use ktstr_model::check::{merge, Has};
use ktstr_model::field::nearest;
use ktstr_model::spec::{ChecksSpec, LatencyBounds, Switch};
use ktstr_model::{Check, Nanos, Origin};

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
];
const PARTS: &[&str] = &["p50", "p99", "p999", "max"];

const ON_OFF: &str = "on or off";
const DURATION: &str = "a duration such as 500ms, or off";
const PART: &str = "a part of the mean such as 0.15, or off";
const SHARE: &str = "a part of the share such as 0.25, or off";
const RATE: &str = "iterations per second such as 100, or off";
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
        _ => false,
    };
    let kept = checks.iter().filter(|check| !mentioned(check.bound.name())).cloned();
    let mut all: Vec<Check> =
        kept.chain(said.into_iter().filter(|check| check.origin == Origin::CommandLine)).collect();
    all.sort_by_key(|check| NAMES.iter().position(|name| *name == check.bound.name()));
    all
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
mod tests {
    use super::*;
    use ktstr_model::Bound;

    fn refusal(text: &str) -> String {
        parse_checks([text]).expect_err("refused").to_string()
    }

    #[test]
    fn each_check_can_be_written() {
        let texts = [
            "scheduler_alive=on",
            "no_stall=off",
            "no_error_log=on",
            "not_starved=off",
            "isolation=on",
            "max_gap=1us",
            "max_spread=0.2",
            "weight_share=0.25",
            "min_work_rate=7.5",
            "max_wakeup_latency.p99=5ms",
            "max_wakeup_latency.max=20ms",
        ];
        let layer = parse_checks(texts).expect("checks");
        let bounds: Vec<Bound> = overlay(&[], &layer).into_iter().map(|check| check.bound).collect();
        let latency = LatencyBounds { p99: Some(Nanos(5_000_000)), max: Some(Nanos(20_000_000)), ..Default::default() };
        assert_eq!(
            bounds,
            [
                Bound::SchedulerAlive,
                Bound::NoErrorLog,
                Bound::MaxGap(Nanos(1000)),
                Bound::MaxSpread(0.2),
                Bound::WeightShare(0.25),
                Bound::Isolation,
                Bound::MinWorkRate(7.5),
                Bound::MaxWakeupLatency(latency)
            ]
        );
        assert_eq!(layer.not_starved, Some(false));
    }

    #[test]
    fn the_command_line_wins_and_the_rest_stays() {
        let test = |bound| Check { bound, origin: Origin::Test };
        let checks = [test(Bound::NotStarved), test(Bound::MaxGap(Nanos(5))), test(Bound::Isolation)];
        let layer = parse_checks(["isolation=off", "max_gap=2ms"]).expect("checks");
        let line = Check { bound: Bound::MaxGap(Nanos(2_000_000)), origin: Origin::CommandLine };
        assert_eq!(overlay(&checks, &layer), [test(Bound::NotStarved), line]);
    }

    #[test]
    fn what_is_no_check_is_told_with_what_would_do() {
        assert_eq!(refusal("max_gap"), "`max_gap` has no bound; write NAME=BOUND, such as max_gap=500ms, or NAME=off");
        assert_eq!(refusal("max_gp=1s"), "there is no check `max_gp`; did you mean `max_gap`?");
        assert_eq!(refusal("max_gap.p99=1s"), "there is no check `max_gap.p99`; did you mean `max_gap`?");
        assert_eq!(
            refusal("zzzzzzzzzz=1"),
            "there is no check `zzzzzzzzzz`; known are scheduler_alive, no_stall, no_error_log, not_starved, max_gap, \
             max_spread, weight_share, isolation, min_work_rate, max_wakeup_latency"
        );
        assert_eq!(refusal("max_wakeup_latency.p90=1ms"), "max_wakeup_latency has no part `p90`; did you mean `p50`?");
        assert_eq!(
            refusal("max_wakeup_latency=1ms"),
            "`1ms` is no bound of max_wakeup_latency: it takes a duration for one of its parts, such as \
             max_wakeup_latency.p99=5ms, or off"
        );
        assert_eq!(refusal("max_gap=fast"), "`fast` is no bound of max_gap: it takes a duration such as 500ms, or off");
        assert_eq!(refusal("max_gap=on"), "`on` is no bound of max_gap: it takes a duration such as 500ms, or off");
        assert_eq!(
            refusal("max_spread=NaN"),
            "`NaN` is no bound of max_spread: it takes a part of the mean such as 0.15, or off"
        );
        assert_eq!(
            refusal("weight_share=-1"),
            "`-1` is no bound of weight_share: it takes a part of the share such as 0.25, or off"
        );
        assert_eq!(
            refusal("min_work_rate=0"),
            "`0` is no bound of min_work_rate: it takes iterations per second such as 100, or off"
        );
        assert_eq!(refusal("isolation=7"), "`7` is no bound of isolation: it takes on or off");
    }
}
