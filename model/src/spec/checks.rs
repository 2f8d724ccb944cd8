//! `checks` of a declaration: bounds by the name of their check.

use crate::over_time::{OverTime, Sustained};
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// A bound, or `false`: the check is switched off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Switch<T> {
    /// `false`; `true` asks for the default bound of a check that has one.
    Flag(bool),
    /// This bound.
    Bound(T),
}

/// Bounds by the name of their check; a check that is not named keeps its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChecksSpec {
    /// The scheduler under test is attached from the first step to the last, and detaches. On by default where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_alive: Option<bool>,
    /// The kernel's watchdog finds no task that does not run. On by default where there is a scheduler under test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_stall: Option<bool>,
    /// The scheduler under test prints no line that is an error. On by default where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_error_log: Option<bool>,
    /// Every worker iterates in every step, and no task waits too long for a CPU. On by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_starved: Option<bool>,
    /// Longest time between two iterations of a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gap: Option<Switch<Nanos>>,
    /// Largest difference of CPU time between workers of a cgroup, as a part of their mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_spread: Option<Switch<f64>>,
    /// Largest distance of CPU time from the share that the weight of a worker or a cgroup gives, as a part of that share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_share: Option<Switch<f64>>,
    /// No worker runs outside its cpuset. On by default where a cpuset or an affinity is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<bool>,
    /// Smallest rate of iterations of a worker, per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_work_rate: Option<Switch<f64>>,
    /// Largest wakeup latencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wakeup_latency: Option<Switch<LatencyBounds>>,
    /// No CPU is idle for longer than this while a task that may run there waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_conserving: Option<Switch<Nanos>>,
    /// Largest difference of runnable tasks between CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_imbalance: Option<Switch<Sustained>>,
    /// Most tasks in a dispatch queue that is not a local one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_dsq_depth: Option<Switch<Sustained>>,
    /// How often a second the scheduler chose a CPU that its task may not use (`SCX_EV_SELECT_CPU_FALLBACK`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fallback_rate: Option<Switch<f64>>,
    /// How often a second a task went on because the scheduler had dispatched no other (`SCX_EV_DISPATCH_KEEP_LAST`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_keep_last_rate: Option<Switch<f64>>,
    /// What holds for metrics over the time of each step. The lists of all layers are joined; `false` drops those of the layers below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_time: Option<Switch<Vec<OverTime>>>,
    /// Whether checks of samples pass where there can be none: the kernel lacks what they need, or cannot be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_lack: Option<bool>,
}

/// Upper bounds of percentiles; those that are not given are not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyBounds {
    /// Median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Nanos>,
    /// 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Nanos>,
    /// 99.9th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p999: Option<Nanos>,
    /// Largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Nanos>,
}

impl ChecksSpec {
    /// Whether it says nothing; for serde.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
