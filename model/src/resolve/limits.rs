//! Ranges of the plain numbers of a declaration.

use crate::floor::ClockOfMachine;
use crate::over_time::Sustained;
use crate::spec::{ChecksSpec, CpuMaxSpec, LatencyBounds, Switch, WorkersSpec};
use crate::work::{Policy, Work};
use crate::{Check, FieldError, Nanos};
use std::fmt::Display;

const MS: u64 = 1_000_000;
/// Longest time a scenario may wait for at once, in seconds.
const HOLD_MAX_SECONDS: f64 = 3600.0;
/// Priorities 1 to 98; 99 is the agent's, which must run whatever the workers do.
const RT_PRIORITY_MAX: u8 = 98;

pub(super) fn out_of_range(path: &str, seen: impl Display, range: &str) -> FieldError {
    FieldError::new(path, format!("{seen} is out of range")).hint(range)
}

pub(super) fn hold_seconds(seconds: f64, path: &str) -> Result<Nanos, FieldError> {
    if seconds > 0.0 && seconds <= HOLD_MAX_SECONDS {
        return Ok(Nanos::from_secs_f64(seconds));
    }
    Err(out_of_range(path, seconds, &format!("above 0, at most {HOLD_MAX_SECONDS} seconds")))
}

pub(super) fn interval(value: Nanos, path: &str) -> Result<Nanos, FieldError> {
    let most = Nanos::from_secs_f64(HOLD_MAX_SECONDS);
    if (1..=most.0).contains(&value.0) {
        return Ok(value);
    }
    Err(out_of_range(path, value, &format!("1ns to {most}")))
}

pub(super) fn weight(weight: u32, path: &str) -> Result<u32, FieldError> {
    if (1..=10_000).contains(&weight) {
        return Ok(weight);
    }
    Err(out_of_range(path, weight, "cpu.weight is 1 to 10000"))
}

pub(super) fn cpu_max(limit: CpuMaxSpec, path: &str) -> Result<CpuMaxSpec, FieldError> {
    if !(MS..=1000 * MS).contains(&limit.period.0) {
        return Err(out_of_range(&format!("{path}.period"), limit.period, "1ms to 1s"));
    }
    if limit.quota.0 < MS {
        return Err(out_of_range(&format!("{path}.quota"), limit.quota, "at least 1ms"));
    }
    Ok(limit)
}

pub(super) fn workers(spec: &WorkersSpec, path: &str) -> Result<(), FieldError> {
    let at = |field: &str| format!("{path}.{field}");
    if spec.workers == 0 {
        return Err(out_of_range(&at("workers"), 0, "at least 1"));
    }
    let size = spec.work.group_size();
    if !spec.workers.is_multiple_of(size) {
        let below = spec.workers - spec.workers % size;
        let hint = match below {
            0 => format!("{size} would do"),
            _ => format!("{below} or {} would do", below + size),
        };
        let problem = format!("{} workers for {}, which works in groups of {size}", spec.workers, spec.work.name());
        return Err(FieldError::new(at("workers"), problem).hint(hint));
    }
    if let Work::Bursty { burst, sleep } = &spec.work {
        interval(*burst, &at("work.bursty.burst"))?;
        interval(*sleep, &at("work.bursty.sleep"))?;
    }
    if let Policy::Fifo(priority) | Policy::Rr(priority) = spec.policy {
        if !(1..=RT_PRIORITY_MAX).contains(&priority) {
            return Err(out_of_range(&at("policy"), priority, &format!("a priority is 1 to {RT_PRIORITY_MAX}")));
        }
    }
    if !(-20..=19).contains(&spec.nice) {
        return Err(out_of_range(&at("nice"), spec.nice, "-20 to 19"));
    }
    Ok(())
}

/// # Errors
/// A bound that cannot be, with its path below `path`.
pub(super) fn checks(spec: &ChecksSpec, path: &str) -> Result<(), FieldError> {
    let at = |field: &str| format!("{path}.{field}");
    bound(&spec.max_gap, &at("max_gap"), "above 0", |gap| gap.0 > 0)?;
    bound(&spec.max_spread, &at("max_spread"), "0 or more", |spread| *spread >= 0.0)?;
    bound(&spec.weight_share, &at("weight_share"), "0 or more", |part| *part >= 0.0)?;
    bound(&spec.min_work_rate, &at("min_work_rate"), "above 0 iterations per second", |rate| *rate > 0.0)?;
    bound(&spec.max_wakeup_latency, &at("max_wakeup_latency"), "at least one of p50, p99, p999, max", |bounds| {
        *bounds != LatencyBounds::default()
    })?;
    bound(&spec.work_conserving, &at("work_conserving"), "above 0", |time| time.0 > 0)?;
    for (field, switch) in [("max_imbalance", &spec.max_imbalance), ("max_dsq_depth", &spec.max_dsq_depth)] {
        bound(switch, &at(field), "at least 1 sample in a row", |Sustained { samples, .. }| *samples > 0)?;
    }
    for (field, switch) in
        [("max_fallback_rate", &spec.max_fallback_rate), ("max_keep_last_rate", &spec.max_keep_last_rate)]
    {
        bound(switch, &at(field), "0 or more events per second", |rate| *rate >= 0.0)?;
    }
    bound(&spec.over_time, &at("over_time"), "", |_| true)?;
    let Some(Switch::Bound(list)) = &spec.over_time else { return Ok(()) };
    list.iter().enumerate().try_for_each(|(i, holds)| holds.check(&format!("{path}.over_time[{i}]")))
}

/// # Errors
/// A bound that the clock of the machine at `topology` cannot tell.
pub(super) fn above_floors(checks: &[Check], machine: ClockOfMachine, topology: &str) -> Result<(), FieldError> {
    let Some(below) = checks.iter().find_map(|check| machine.cannot_tell(&check.bound).into_iter().next()) else {
        return Ok(());
    };
    let fewer = if machine.cpus > 1 { ", or a machine with fewer CPUs" } else { "" };
    let error = FieldError::new(format!("checks.{}", below.field), format!("{below} ({topology})"));
    Err(error.hint(format!("{} or more{fewer}", below.floor)))
}

fn bound<T: std::fmt::Debug>(
    switch: &Option<Switch<T>>,
    path: &str,
    range: &str,
    fits: impl Fn(&T) -> bool,
) -> Result<(), FieldError> {
    match switch {
        Some(Switch::Bound(value)) if !fits(value) => Err(out_of_range(path, format!("{value:?}"), range)),
        Some(Switch::Flag(true)) => Err(FieldError::new(path, "true is not a bound").hint("a bound, or false")),
        _ => Ok(()),
    }
}
