//! Numbers of the guest's kernel that a sample gives, by the names that users write.

use crate::field::nearest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// One number a sample.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Runnable tasks of all CPUs together.
    NrRunning,
    /// The largest `nr_running` of a CPU without the smallest.
    Imbalance,
    /// CPUs that are idle.
    IdleCpus,
    /// Tasks in the longest dispatch queue, local ones left out.
    DsqDepth,
    /// Tasks in the longest local dispatch queue.
    LocalDsqDepth,
    /// Nanoseconds that the task has waited for a CPU that has waited longest.
    Waiting,
    /// Count of an event of sched_ext since the scheduler was attached, such as `SCX_EV_DISPATCH_KEEP_LAST`.
    Event(String),
    /// A variable of the scheduler, by the name that its series has.
    Series(String),
}

/// Those without a parameter.
const PLAIN: [(&str, Metric); 6] = [
    ("nr_running", Metric::NrRunning),
    ("imbalance", Metric::Imbalance),
    ("idle_cpus", Metric::IdleCpus),
    ("dsq_depth", Metric::DsqDepth),
    ("local_dsq_depth", Metric::LocalDsqDepth),
    ("waiting", Metric::Waiting),
];
const EVENT: &str = "event:";
const EVENT_PREFIX: &str = "SCX_EV_";
const SERIES: &str = "series:";

/// A text that is no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a metric; {hint}")]
pub struct MetricError {
    text: String,
    hint: String,
}

impl Metric {
    /// The name of the series that it is, if it is one.
    pub fn series(&self) -> Option<&str> {
        match self {
            Self::Series(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it only grows while a scheduler is attached.
    pub fn is_counter(&self) -> bool {
        matches!(self, Self::Event(_))
    }

    /// Whether it is a time in nanoseconds.
    pub fn is_time(&self) -> bool {
        *self == Self::Waiting
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(name) => write!(f, "{EVENT}{name}"),
            Self::Series(name) => write!(f, "{SERIES}{name}"),
            plain => f.write_str(PLAIN.iter().find(|(_, metric)| metric == plain).map_or("", |(name, _)| *name)),
        }
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        if let Some(name) = text.strip_prefix(SERIES).filter(|name| !name.is_empty()) {
            return Ok(Self::Series(name.into()));
        }
        if let Some(name) = text.strip_prefix(EVENT).filter(|name| name.starts_with(EVENT_PREFIX)) {
            return Ok(Self::Event(name.into()));
        }
        let known = PLAIN.iter().map(|(name, _)| *name);
        PLAIN.iter().find(|(name, _)| *name == text).map(|(_, metric)| metric.clone()).ok_or_else(|| {
            let hint = match nearest(text, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("known are {}, {EVENT}{EVENT_PREFIX}…, {SERIES}NAME", known.collect::<Vec<_>>().join(", "))
                }
            };
            MetricError { text: text.into(), hint }
        })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metrics_print_back() {
        let texts = PLAIN.map(|(name, _)| name).into_iter().chain(["event:SCX_EV_X", "series:nr_queued"]);
        for text in texts {
            assert_eq!(text.parse::<Metric>().map(|metric| metric.to_string()), Ok(text.into()));
        }
    }

    #[test]
    fn what_is_none_is_told_with_what_would_do() {
        let refusal = |text: &str| text.parse::<Metric>().expect_err("refused").to_string();
        assert_eq!(refusal("imbalanc"), "`imbalanc` is not a metric; did you mean `imbalance`?");
        let known = "known are nr_running, imbalance, idle_cpus, dsq_depth, local_dsq_depth, waiting, event:SCX_EV_…, series:NAME";
        for text in ["event:KEEP_LAST", "series:", "load average of all"] {
            assert_eq!(refusal(text), format!("`{text}` is not a metric; {known}"));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Metric>();
        }
    }
}
