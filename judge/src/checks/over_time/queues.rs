//! `equals_sum_of_dsq`, `near_now`: a variable of the scheduler beside what the kernel has.

use super::staying::worst;
use crate::checks::{Judged, NoData};
use crate::number::nanos;
use crate::rows::{queues, rows, series_value, why_none, Cell, Point};
use crate::run::Run;
use ktstr_model::sample::{dsq_name, Sample, DSQ_BUILTIN};
use ktstr_model::{GuestNanos, Metric};

pub(super) fn equals_sum(run: &Run<'_>, series: &str, dsqs: &[u64], samples: u32) -> Result<Judged, NoData> {
    let wanted = |id: u64| if dsqs.is_empty() { id & DSQ_BUILTIN == 0 } else { dsqs.contains(&id) };
    let cell = |at: GuestNanos, sample: &Sample| {
        let (Some(all), Some(value)) = (queues(sample), series_value(run, series, sample)) else { return Cell::Gap };
        let queues = all.iter().filter(|dsq| wanted(dsq.id));
        let sum: i128 = queues.clone().map(|dsq| i128::from(dsq.nr)).sum();
        let each: Vec<String> = queues.map(|dsq| format!("{}: {}", dsq_name(dsq.id), dsq.nr)).collect();
        let whose = format!("series:{series} was {value}, its queues had {sum} ({})", each.join(", "));
        Cell::Value(Point { at, value: value.saturating_sub(sum), cpu: None, whose })
    };
    let steps = rows(run, cell);
    if steps.is_empty() {
        return Err(nothing(run, series, Metric::DsqDepth));
    }
    worst(&steps, samples, |point| (point.value as f64).abs(), |point| point.whose.clone())
}

pub(super) fn near_now(
    run: &Run<'_>,
    series: &str,
    within: f64,
    clock: Option<&str>,
    samples: u32,
) -> Result<Judged, NoData> {
    let now = |sample: &Sample| match clock {
        Some(name) => series_value(run, name, sample),
        // Those of idle CPUs stand, and one that could not be read may be the only one that does not.
        None if sample.unread > 0 => None,
        None => sample.cpus.iter().map(|cpu| i128::from(cpu.clock)).max(),
    };
    let cell = |at: GuestNanos, sample: &Sample| {
        let (Some(value), Some(now)) = (series_value(run, series, sample), now(sample)) else { return Cell::Gap };
        // As the kernel and schedulers compare 64 bits that may wrap (`time_before64`).
        let distance = (value as u64).wrapping_sub(now as u64) as i64;
        let side = if distance < 0 { "behind" } else { "ahead of" };
        let whose = format!("series:{series} was {value}, {} {side} {now}", nanos(distance.unsigned_abs()));
        Cell::Value(Point { at, value: distance.into(), cpu: None, whose })
    };
    let steps = rows(run, cell);
    if steps.is_empty() {
        return Err(nothing(run, series, Metric::Series(clock.unwrap_or(series).into())));
    }
    worst(&steps, samples, |point| (point.value as f64).abs() - within, |point| point.whose.clone())
}

/// Why there is nothing: for want of the variable, or of what it is compared with.
fn nothing(run: &Run<'_>, series: &str, other: Metric) -> NoData {
    let mut all = run.samples.steps.iter().flat_map(|step| &step.samples);
    let has_value = all.any(|(_, sample)| series_value(run, series, sample).is_some());
    why_none(run, &if has_value { other } else { Metric::Series(series.into()) })
}
