//! `over_time` of a declaration: what holds for metrics over the time of each step.

use crate::metric::Metric;
use crate::{FieldError, Nanos};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A bound that is passed only if that many samples in a row pass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sustained {
    /// The most that is all right.
    pub bound: u32,
    /// Samples in a row, 1 or more.
    pub samples: u32,
}

/// A number; a duration such as `"20ms"` is one of nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Amount(pub f64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a duration such as \"20ms\"")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Amount, E> {
                Ok(Amount(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Amount, E> {
                Ok(Amount(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Amount, E> {
                Ok(Amount(value as f64))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map(|Nanos(nanos)| Amount(nanos as f64)).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What holds for a metric in each step. Where `samples` stands, only so many samples in a row are a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum OverTime {
    /// It is at most `to` from a time after the start of the step on.
    Settles {
        /// Of what.
        metric: Metric,
        /// The most.
        to: Amount,
        /// That time.
        within: Nanos,
        /// In a row.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        samples: u32,
    },
    /// No sample has less than the one before.
    NeverDecreases {
        /// Of what.
        metric: Metric,
    },
    /// It is from `low` to `high`.
    Bounded {
        /// Of what.
        metric: Metric,
        /// The least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<Amount>,
        /// The most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<Amount>,
        /// In a row.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        samples: u32,
    },
    /// What it grows by a second, over the whole step, is from `low` to `high`.
    Rate {
        /// Of what.
        metric: Metric,
        /// The least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<Amount>,
        /// The most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<Amount>,
    },
    /// `a` divided by `b` is from `low` to `high`: of events what they grow by in the step, of all else their means.
    Ratio {
        /// What is divided.
        a: Metric,
        /// By which.
        b: Metric,
        /// The least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<Amount>,
        /// The most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<Amount>,
    },
    /// A variable of the scheduler is the number of tasks in these of its dispatch queues together.
    EqualsSumOfDsq {
        /// Name of its series.
        series: String,
        /// Numbers of queues; none: all of its own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dsqs: Vec<u64>,
        /// In a row.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        samples: u32,
    },
    /// A variable of the scheduler, 64 bits that may wrap, is no further than this from a time, before or behind it.
    NearNow {
        /// Name of its series.
        series: String,
        /// The largest distance.
        within: Amount,
        /// Another series that is the time; none: the clock of the runqueues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<String>,
        /// In a row.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        samples: u32,
    },
}

fn one() -> u32 {
    1
}

fn is_one(samples: &u32) -> bool {
    *samples == 1
}

impl OverTime {
    /// Name of the check, as users write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Settles { .. } => "settles",
            Self::NeverDecreases { .. } => "never_decreases",
            Self::Bounded { .. } => "bounded",
            Self::Rate { .. } => "rate",
            Self::Ratio { .. } => "ratio",
            Self::EqualsSumOfDsq { .. } => "equals_sum_of_dsq",
            Self::NearNow { .. } => "near_now",
        }
    }

    /// Names of the series that it looks at, each with its field.
    pub fn series(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Settles { metric, .. }
            | Self::NeverDecreases { metric }
            | Self::Bounded { metric, .. }
            | Self::Rate { metric, .. } => metric.series().map(|name| ("metric", name)).into_iter().collect(),
            Self::Ratio { a, b, .. } => {
                let both = [("a", a), ("b", b)].into_iter();
                both.filter_map(|(field, metric)| Some((field, metric.series()?))).collect()
            }
            Self::EqualsSumOfDsq { series, .. } => vec![("series", series)],
            Self::NearNow { series, clock, .. } => {
                [("series", series.as_str())].into_iter().chain(clock.as_deref().map(|name| ("clock", name))).collect()
            }
        }
    }

    /// Checks what was declared, at `path`.
    ///
    /// # Errors
    /// No bound, one that no number can keep, or no samples.
    pub fn check(&self, path: &str) -> Result<(), FieldError> {
        let at = |field: &str| format!("{path}.{}.{field}", self.name());
        match self {
            Self::Bounded { low, high, .. } | Self::Rate { low, high, .. } | Self::Ratio { low, high, .. } => {
                match (low, high) {
                    (None, None) => return Err(FieldError::new(at("high"), "bounds nothing").hint("low, high or both")),
                    (Some(low), Some(high)) if low > high => {
                        let problem = format!("{} is below low, which is {}", high.0, low.0);
                        return Err(FieldError::new(at("high"), problem));
                    }
                    _ => {}
                }
            }
            Self::NearNow { within, .. } if within.0 < 0.0 => {
                return Err(FieldError::new(at("within"), format!("{} is out of range", within.0)).hint("0 or more"));
            }
            _ => {}
        }
        match self {
            Self::Settles { samples: 0, .. }
            | Self::Bounded { samples: 0, .. }
            | Self::EqualsSumOfDsq { samples: 0, .. }
            | Self::NearNow { samples: 0, .. } => {
                Err(FieldError::new(at("samples"), "0 is out of range").hint("1 or more"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::from_json;

    #[test]
    fn what_cannot_be_is_refused_with_its_path() {
        for (json, expected) in [
            (r#"{"bounded": {"metric": "imbalance"}}"#, "x.bounded.high: bounds nothing; low, high or both"),
            (r#"{"rate": {"metric": "nr_running", "low": 2, "high": 1}}"#, "x.rate.high: 1 is below low, which is 2"),
            (r#"{"near_now": {"series": "v", "within": -1}}"#, "x.near_now.within: -1 is out of range; 0 or more"),
            (
                r#"{"bounded": {"metric": "waiting", "high": "1s", "samples": 0}}"#,
                "x.bounded.samples: 0 is out of range; 1 or more",
            ),
        ] {
            let check: OverTime = from_json(json).expect("is of the form");
            assert_eq!(check.check("x").expect_err("refused").to_string(), expected);
        }
        let refusal = |json: &str| from_json::<OverTime>(json).expect_err("refused").to_string();
        assert!(refusal(r#"{"bounded": {"metric": "imbalanc"}}"#).contains("did you mean `imbalance`?"));
        assert!(refusal(r#"{"setles": {}}"#).contains("did you mean `settles`?"));
        assert!(refusal(r#"{"bounded": {"metric": "waiting", "high": "1 s"}}"#).contains("is not a duration"));
    }

    #[test]
    fn a_duration_is_a_number_of_nanoseconds() {
        let json = r#"{"settles":{"metric":"waiting","to":"20ms","within":"1s"}}"#;
        let check: OverTime = from_json(json).expect("is of the form");
        let to = Amount(20e6);
        assert_eq!(check, OverTime::Settles { metric: Metric::Waiting, to, within: Nanos(1_000_000_000), samples: 1 });
        let printed = serde_json::to_string(&check).expect("plain data");
        assert_eq!(from_json(&printed), Ok(check));
    }
}
