//! One number a sample, in rows: samples of a step that follow each other and have a value.

use crate::checks::NoData;
use crate::number::nanos;
use crate::run::Run;
use ktstr_model::sample::{dsq_name, DsqSample, Sample, ScxSample, SeriesValue};
use ktstr_model::{GuestNanos, Metric};
use std::collections::VecDeque;

/// Why a number of all CPUs is not known.
pub(crate) const UNREAD: &str = "where it counts, not all CPUs on line could be read";

/// A value, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) at: GuestNanos,
    pub(crate) value: i128,
    pub(crate) cpu: Option<u32>,
    /// ` in DSQ 0x7`; empty if that is no question.
    pub(crate) whose: String,
}

/// Rows of a step.
#[derive(Debug)]
pub(crate) struct StepRows {
    pub(crate) step: u32,
    pub(crate) start: GuestNanos,
    pub(crate) rows: Vec<Vec<Point>>,
}

impl StepRows {
    /// All values of the step.
    pub(crate) fn points(&self) -> impl Iterator<Item = &Point> {
        self.rows.iter().flatten()
    }

    /// Values of a row that follow each other.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&Point, &Point)> {
        self.rows.iter().flat_map(|row| row.iter().zip(row.iter().skip(1)))
    }
}

/// What a sample has of a metric.
pub(crate) enum Cell {
    Value(Point),
    /// There should be a value, and is none: the row ends.
    Gap,
    /// This sample does not look at it.
    NotAsked,
}

/// Steps that have a value of a metric, each with its rows.
pub(crate) fn of_metric(run: &Run<'_>, metric: &Metric) -> Result<Vec<StepRows>, NoData> {
    let cell = |at, sample: &Sample| cell(run, metric, at, sample);
    let steps = rows(run, cell);
    if steps.is_empty() {
        return Err(why_none(run, metric));
    }
    Ok(steps)
}

/// Rows of what `cell` takes of each sample; steps without any are left out.
pub(crate) fn rows(run: &Run<'_>, cell: impl Fn(GuestNanos, &Sample) -> Cell) -> Vec<StepRows> {
    let mut steps = Vec::new();
    for step in &run.samples.steps {
        let mut rows = vec![Vec::new()];
        for (at, sample) in &step.samples {
            match cell(*at, sample) {
                Cell::Value(point) => rows.last_mut().into_iter().for_each(|row: &mut Vec<_>| row.push(point.clone())),
                Cell::Gap => rows.push(Vec::new()),
                Cell::NotAsked => {}
            }
        }
        rows.retain(|row| !row.is_empty());
        if !rows.is_empty() {
            steps.push(StepRows { step: step.step, start: step.start, rows });
        }
    }
    steps
}

/// sched_ext with a scheduler.
pub(crate) fn attached(sample: &Sample) -> Option<&ScxSample> {
    sample.scx.as_ref().filter(|scx| !scx.events.is_empty() || !scx.dsqs.is_empty())
}

/// The queues of a scheduler, if all of them could be read.
pub(crate) fn queues(sample: &Sample) -> Option<&[DsqSample]> {
    attached(sample).filter(|scx| !scx.torn).map(|scx| scx.dsqs.as_slice())
}

fn cell(run: &Run<'_>, metric: &Metric, at: GuestNanos, sample: &Sample) -> Cell {
    if *metric == Metric::Waiting && sample.tasks.is_none() {
        return Cell::NotAsked;
    }
    let found = value(run, metric, sample);
    found.map_or(Cell::Gap, |(value, cpu, whose)| Cell::Value(Point { at, value, cpu, whose }))
}

fn value(run: &Run<'_>, metric: &Metric, sample: &Sample) -> Option<(i128, Option<u32>, String)> {
    let plain = |value: usize| Some((value as i128, None, String::new()));
    let of_cpu = |nr: u32, cpu: u32| Some((nr.into(), Some(cpu), String::new()));
    match metric {
        Metric::NrRunning | Metric::IdleCpus | Metric::Imbalance | Metric::LocalDsqDepth if sample.unread > 0 => None,
        Metric::NrRunning | Metric::IdleCpus if sample.cpus.is_empty() => None,
        Metric::NrRunning => plain(sample.nr_running() as usize),
        Metric::IdleCpus => plain(sample.cpus.iter().filter(|cpu| cpu.curr == 0).count()),
        Metric::Imbalance => sample.imbalance().and_then(|(by, most)| of_cpu(by, most.cpu)),
        Metric::LocalDsqDepth => {
            attached(sample)?;
            let depths = sample.cpus.iter().rev().filter_map(|cpu| Some((cpu.scx?.local_dsq_nr, cpu.cpu)));
            depths.max_by_key(|(nr, _)| *nr).and_then(|(nr, cpu)| of_cpu(nr, cpu))
        }
        Metric::DsqDepth => match queues(sample)?.iter().max_by_key(|dsq| dsq.nr) {
            Some(dsq) => Some((dsq.nr.into(), None, format!(" in {}", dsq_name(dsq.id)))),
            None => plain(0),
        },
        Metric::Waiting => {
            let tasks = sample.tasks.as_ref().filter(|tasks| tasks.complete)?;
            let free = tasks.tasks.iter().filter(|task| task.held.is_none());
            let waits = free.filter_map(|task| Some((task.waiting?, task)));
            match waits.max_by_key(|(waiting, _)| *waiting) {
                Some((waiting, task)) => {
                    Some((waiting.into(), Some(task.cpu), format!(" of {} (pid {})", task.comm, task.pid)))
                }
                None => plain(0),
            }
        }
        Metric::Event(name) => {
            let index = run.samples.events.iter().position(|event| event == name)?;
            Some(((*attached(sample)?.events.get(index)?).into(), None, String::new()))
        }
        Metric::Series(name) => match sample.series.get(series(run, name)?)? {
            SeriesValue::Number(number) => Some((*number, None, String::new())),
            _ => None,
        },
    }
}

/// Index of a series among the values of samples.
fn series(run: &Run<'_>, name: &str) -> Option<usize> {
    run.case.monitor.as_ref()?.series.iter().position(|series| series.name == name)
}

/// The number of a series in a sample.
pub(crate) fn series_value(run: &Run<'_>, name: &str, sample: &Sample) -> Option<i128> {
    value(run, &Metric::Series(name.into()), sample).map(|(value, ..)| value)
}

/// Why no step has a value.
pub(crate) fn why_none(run: &Run<'_>, metric: &Metric) -> NoData {
    let all = || run.samples.steps.iter().flat_map(|step| &step.samples);
    if run.samples.is_empty() {
        return run.samples.nothing(run.case);
    }
    match metric {
        Metric::DsqDepth | Metric::LocalDsqDepth | Metric::Event(_)
            if all().all(|(_, sample)| sample.scx.is_none()) =>
        {
            run.samples.lacks("sched_ext")
        }
        Metric::Event(name) if all().any(|(_, sample)| attached(sample).is_some()) => {
            match run.samples.events.contains(name) {
                true => NoData::Unseen("the scheduler's events could not be read".into()),
                false => run.samples.lacks(name),
            }
        }
        Metric::DsqDepth if all().any(|(_, sample)| sample.scx.as_ref().is_some_and(|scx| scx.torn)) => {
            NoData::Unseen("the scheduler's queues could not be read".into())
        }
        Metric::NrRunning | Metric::Imbalance | Metric::IdleCpus | Metric::LocalDsqDepth
            if all().any(|(_, sample)| sample.unread > 0) =>
        {
            NoData::Unseen(UNREAD.into())
        }
        Metric::DsqDepth | Metric::LocalDsqDepth | Metric::Event(_) => {
            NoData::Unseen("no scheduler was attached when samples were taken".into())
        }
        Metric::Series(_) if run.samples.is_absent("maps") => run.samples.lacks("maps"),
        Metric::Series(name) => NoData::Unseen(why_no_series(run, name)),
        Metric::Waiting => NoData::Unseen(run.samples.why_no_look("no sample that looks at tasks was taken in a hold")),
        Metric::NrRunning | Metric::Imbalance | Metric::IdleCpus => NoData::Unseen("no sample has a CPU".into()),
    }
}

fn why_no_series(run: &Run<'_>, name: &str) -> String {
    let Some(index) = series(run, name) else { return format!("the case has no series `{name}`") };
    let all = run.samples.steps.iter().flat_map(|step| &step.samples);
    let mut values = all.filter_map(|(_, sample)| sample.series.get(index));
    let first = values.clone().next();
    let why = match values.find(|value| **value == SeriesValue::Unreadable).or(first) {
        Some(SeriesValue::NoMap) => "there was no such map",
        Some(SeriesValue::NoElement) => "the map had no such element",
        Some(SeriesValue::Unreadable) => run.samples.unreadable.get(name).copied().unwrap_or("it could not be read"),
        Some(SeriesValue::Number(_)) | None => "no sample has it",
    };
    format!("series `{name}` has no value: {why}")
}

/// The stretch of so many samples in a row in which the least of what `excess` gives is the largest, and that least one.
pub(crate) fn sustained(rows: &[Vec<Point>], samples: u32, excess: impl Fn(&Point) -> f64) -> Option<(&Point, f64)> {
    let samples = samples.max(1) as usize;
    let mut worst: Option<(&Point, f64)> = None;
    for row in rows {
        // Points that can still be the least of a stretch, in ascending order of their excess.
        let mut least: VecDeque<(usize, f64)> = VecDeque::new();
        for (index, point) in row.iter().enumerate() {
            let here = excess(point);
            while least.back().is_some_and(|(_, excess)| *excess > here) {
                least.pop_back();
            }
            least.push_back((index, here));
            if least.front().is_some_and(|(front, _)| front + samples <= index) {
                least.pop_front();
            }
            let Some((front, excess)) = least.front().copied().filter(|_| index + 1 >= samples) else { continue };
            if worst.is_none_or(|(_, worst)| excess > worst) {
                worst = row.get(front).map(|point| (point, excess));
            }
        }
    }
    worst
}

/// A value as a person reads it.
pub(crate) fn show(metric: &Metric, value: i128) -> String {
    match u64::try_from(value) {
        Ok(time) if metric.is_time() => nanos(time),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(values: &[i32]) -> Vec<Point> {
        let point = |(at, value): (u64, &i32)| Point {
            at: GuestNanos(at),
            value: (*value).into(),
            cpu: None,
            whose: String::new(),
        };
        (0u64..).zip(values).map(point).collect()
    }

    proptest! {
        #[test]
        fn the_worst_stretch_is_found(rows in prop::collection::vec(prop::collection::vec(-9i32..9, 1..30), 0..4), samples in 1u32..9) {
            let least = |stretch: &[i32]| stretch.iter().copied().min();
            let expected = rows.iter().flat_map(|row| row.windows(samples as usize).filter_map(least)).max();
            let rows: Vec<_> = rows.iter().map(|values| row(values)).collect();
            let seen = sustained(&rows, samples, |point| point.value as f64);
            prop_assert_eq!(seen.map(|(_, excess)| excess as i32), expected);
            prop_assert!(seen.is_none_or(|(point, excess)| point.value as f64 == excess));
        }
    }
}
