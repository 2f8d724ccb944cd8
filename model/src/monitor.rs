//! What the host looks at while a case runs.

use crate::Nanos;
use serde::{Deserialize, Serialize};

/// `monitor` of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitorSpec {
    /// Guest time from sample to sample, 1ms to 10s.
    pub interval: Nanos,
    /// Guest time from one look at all tasks to the next; rounded up to a multiple of the interval.
    pub tasks: Nanos,
    /// Variables of the scheduler.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<SeriesSpec>,
}

impl Default for MonitorSpec {
    fn default() -> Self {
        Self { interval: Nanos(10_000_000), tasks: Nanos(100_000_000), series: Vec::new() }
    }
}

/// A variable of the scheduler: a field of a value in one of its maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesSpec {
    /// What checks call it.
    pub name: String,
    /// Name of the map; `bss`, `data` and `rodata` are the object's sections of these names.
    pub map: String,
    /// Path to a number in the value: `nr_queued`, `cpus[3].vtime`. Empty: the value itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// Key of the element, if the map is no section; an integer of the size of its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u64>,
    /// What is taken of a map with a value for each CPU, or of all elements of a map without a `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_all: Option<OfAll>,
}

/// One number of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfAll {
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The largest.
    Max,
}
