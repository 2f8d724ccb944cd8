//! Checks: a bound, and where it came from.

use crate::over_time::{OverTime, Sustained};
use crate::spec::{ChecksSpec, LatencyBounds, Switch};
use crate::Nanos;
use serde::{Deserialize, Serialize};

/// One check of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is judged against what.
    pub bound: Bound,
    /// Who said so.
    pub origin: Origin,
    /// Whether it passes where there can be no samples to judge.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_lack: bool,
}

/// The layer that set a bound; later layers win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// ktstr's own defaults.
    Default,
    /// The `checks` of the scheduler under test.
    Scheduler,
    /// The test's `checks`.
    Test,
    /// `ktstr judge --check`.
    CommandLine,
}

impl Origin {
    /// As it is named in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Scheduler => "scheduler",
            Self::Test => "test",
            Self::CommandLine => "command line",
        }
    }
}

/// A check with its bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The scheduler under test stays attached until it is told to end.
    SchedulerAlive,
    /// The kernel's watchdog finds no stalled task.
    NoStall,
    /// The scheduler under test prints no error.
    NoErrorLog,
    /// Every worker iterates in every step, and no task waits too long for a CPU.
    NotStarved,
    /// Longest time between two iterations of a worker.
    MaxGap(Nanos),
    /// Largest difference of CPU time between workers of one group and cgroup in a step, as a part of their mean.
    MaxSpread(f64),
    /// Largest distance of CPU time from the share that the weight of a worker or a cgroup gives, as a part of that share.
    WeightShare(f64),
    /// No worker runs outside the CPUs that it may use.
    Isolation,
    /// Smallest iterations per second of a worker.
    MinWorkRate(f64),
    /// Largest wakeup latencies of a worker group.
    MaxWakeupLatency(LatencyBounds),
    /// Longest time for which a CPU is idle while a task that may run there waits.
    WorkConserving(Nanos),
    /// Largest difference of runnable tasks between CPUs.
    MaxImbalance(Sustained),
    /// Most tasks in a dispatch queue that is not a local one.
    MaxDsqDepth(Sustained),
    /// Most `SCX_EV_SELECT_CPU_FALLBACK` a second.
    MaxFallbackRate(f64),
    /// Most `SCX_EV_DISPATCH_KEEP_LAST` a second.
    MaxKeepLastRate(f64),
    /// What holds for a metric over time.
    OverTime(OverTime),
}

impl Bound {
    /// Whether there is nothing to judge without samples of the guest's kernel.
    pub fn needs_samples(&self) -> bool {
        matches!(
            self,
            Self::WorkConserving(_)
                | Self::MaxImbalance(_)
                | Self::MaxDsqDepth(_)
                | Self::MaxFallbackRate(_)
                | Self::MaxKeepLastRate(_)
                | Self::OverTime(_)
        )
    }

    /// Name of the check, as users write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SchedulerAlive => "scheduler_alive",
            Self::NoStall => "no_stall",
            Self::NoErrorLog => "no_error_log",
            Self::NotStarved => "not_starved",
            Self::MaxGap(_) => "max_gap",
            Self::MaxSpread(_) => "max_spread",
            Self::WeightShare(_) => "weight_share",
            Self::Isolation => "isolation",
            Self::MinWorkRate(_) => "min_work_rate",
            Self::MaxWakeupLatency(_) => "max_wakeup_latency",
            Self::WorkConserving(_) => "work_conserving",
            Self::MaxImbalance(_) => "max_imbalance",
            Self::MaxDsqDepth(_) => "max_dsq_depth",
            Self::MaxFallbackRate(_) => "max_fallback_rate",
            Self::MaxKeepLastRate(_) => "max_keep_last_rate",
            Self::OverTime(holds) => holds.name(),
        }
    }
}

/// What a case has, so far as it decides on the checks that are on by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Has {
    /// Workers that may not run on all CPUs: `isolation`.
    pub limited_cpus: bool,
    /// A scheduler under test: `scheduler_alive`, `no_stall`, `no_error_log`.
    pub scheduler: bool,
}

/// Merges layers of bounds; the last layer that says something of a check wins. Only lists of what holds over time are joined.
///
/// What a case has decides on some defaults.
pub fn merge(layers: &[(Origin, &ChecksSpec)], has: Has) -> Vec<Check> {
    let scheduler = has.scheduler.then_some(true);
    let defaults = ChecksSpec {
        scheduler_alive: scheduler,
        no_stall: scheduler,
        no_error_log: scheduler,
        not_starved: Some(true),
        isolation: has.limited_cpus.then_some(true),
        ..Default::default()
    };
    let mut all = vec![(Origin::Default, &defaults)];
    all.extend(layers);
    let may_lack = all.iter().rev().find_map(|(_, spec)| spec.may_lack).unwrap_or(false);
    let check = |bound: Bound, origin| Check { may_lack: may_lack && bound.needs_samples(), bound, origin };
    let last = |bound: &dyn Fn(&ChecksSpec) -> Option<Option<Bound>>| {
        let (origin, bound) = all.iter().rev().find_map(|(origin, spec)| Some((*origin, bound(spec)?)))?;
        Some(check(bound?, origin))
    };
    let checks = [
        last(&|spec| spec.scheduler_alive.map(|on| on.then_some(Bound::SchedulerAlive))),
        last(&|spec| spec.no_stall.map(|on| on.then_some(Bound::NoStall))),
        last(&|spec| spec.no_error_log.map(|on| on.then_some(Bound::NoErrorLog))),
        last(&|spec| spec.not_starved.map(|on| on.then_some(Bound::NotStarved))),
        last(&|spec| switched(&spec.max_gap, Bound::MaxGap)),
        last(&|spec| switched(&spec.max_spread, Bound::MaxSpread)),
        last(&|spec| switched(&spec.weight_share, Bound::WeightShare)),
        last(&|spec| spec.isolation.map(|on| on.then_some(Bound::Isolation))),
        last(&|spec| switched(&spec.min_work_rate, Bound::MinWorkRate)),
        last(&|spec| switched(&spec.max_wakeup_latency, Bound::MaxWakeupLatency)),
        last(&|spec| switched(&spec.work_conserving, Bound::WorkConserving)),
        last(&|spec| switched(&spec.max_imbalance, Bound::MaxImbalance)),
        last(&|spec| switched(&spec.max_dsq_depth, Bound::MaxDsqDepth)),
        last(&|spec| switched(&spec.max_fallback_rate, Bound::MaxFallbackRate)),
        last(&|spec| switched(&spec.max_keep_last_rate, Bound::MaxKeepLastRate)),
    ];
    let over_time = over_time(&all).into_iter().map(|(origin, holds)| check(Bound::OverTime(holds), origin));
    checks.into_iter().flatten().chain(over_time).collect()
}

/// Of all layers above the last one that switches them off.
fn over_time(layers: &[(Origin, &ChecksSpec)]) -> Vec<(Origin, OverTime)> {
    let mut all = Vec::new();
    for (origin, spec) in layers {
        match &spec.over_time {
            None => {}
            Some(Switch::Flag(_)) => all.clear(),
            Some(Switch::Bound(list)) => all.extend(list.iter().map(|holds| (*origin, holds.clone()))),
        }
    }
    all
}

/// `None`: not mentioned. `Some(None)`: switched off.
fn switched<T: Clone>(switch: &Option<Switch<T>>, bound: fn(T) -> Bound) -> Option<Option<Bound>> {
    match switch.as_ref()? {
        Switch::Flag(_) => Some(None),
        Switch::Bound(value) => Some(Some(bound(value.clone()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_layer_that_says_something_wins() {
        let test = ChecksSpec { max_gap: Some(Switch::Bound(Nanos(5))), ..Default::default() };
        let line =
            ChecksSpec { max_gap: Some(Switch::Bound(Nanos(7))), not_starved: Some(false), ..Default::default() };
        let merged = merge(&[(Origin::Test, &test), (Origin::CommandLine, &line)], Has::default());
        assert_eq!(merged, [Check { bound: Bound::MaxGap(Nanos(7)), origin: Origin::CommandLine, may_lack: false }]);
    }

    #[test]
    fn defaults_hold_where_nothing_is_said() {
        let merged = merge(&[(Origin::Test, &ChecksSpec::default())], Has { limited_cpus: true, scheduler: false });
        assert_eq!(
            merged,
            [
                Check { bound: Bound::NotStarved, origin: Origin::Default, may_lack: false },
                Check { bound: Bound::Isolation, origin: Origin::Default, may_lack: false },
            ]
        );
    }

    #[test]
    fn a_scheduler_brings_its_checks() {
        let layer = ChecksSpec { no_error_log: Some(false), ..Default::default() };
        let merged = merge(&[(Origin::Test, &layer)], Has { limited_cpus: false, scheduler: true });
        let names: Vec<&str> = merged.iter().map(|check| check.bound.name()).collect();
        assert_eq!(names, ["scheduler_alive", "no_stall", "not_starved"]);
    }

    #[test]
    fn lists_of_what_holds_over_time_are_joined() {
        let list = |series: &str| {
            let holds = OverTime::EqualsSumOfDsq { series: series.into(), dsqs: vec![], samples: 1 };
            ChecksSpec { over_time: Some(Switch::Bound(vec![holds])), may_lack: Some(true), ..Default::default() }
        };
        let (scheduler, test) = (list("a"), list("b"));
        let off = ChecksSpec { over_time: Some(Switch::Flag(false)), ..Default::default() };
        let origins = |layers: &[(Origin, &ChecksSpec)]| -> Vec<Origin> {
            let merged = merge(layers, Has::default()).into_iter();
            merged.filter(|check| check.may_lack && check.bound.needs_samples()).map(|check| check.origin).collect()
        };
        assert_eq!(
            origins(&[(Origin::Scheduler, &scheduler), (Origin::Test, &test)]),
            [Origin::Scheduler, Origin::Test]
        );
        let dropped = [(Origin::Scheduler, &scheduler), (Origin::Test, &off), (Origin::CommandLine, &test)];
        assert_eq!(origins(&dropped), [Origin::CommandLine]);
    }
}
