//! Makes a timeline small enough for a page, and says so. What is short is drawn together; nothing is left out: a merged run says how many it is of,
//! and a number is the largest of those that it stands for.

use crate::timeline::{Run, Timeline};
use std::collections::BTreeMap;

/// Points of a chart.
const POINTS_MAX: usize = 1500;
/// The shortest time and the longest below which runs are merged, as powers of two in nanoseconds.
const WIDTH_BITS: std::ops::Range<u32> = 10..44;

/// A timeline with at most about `entries_max` runs and numbers of waiting tasks.
pub(crate) fn thinned(mut timeline: Timeline, entries_max: usize) -> Timeline {
    let entries: usize = timeline.lanes.iter().map(|lane| lane.runs.len() + lane.waiting.len()).sum();
    if entries > entries_max {
        let bits: Vec<u32> = WIDTH_BITS.collect();
        let bit = bits.partition_point(|bit| {
            merged(&timeline, 1 << bit).map(|(runs, waiting)| runs.len() + waiting.len()).sum::<usize>() > entries_max
        });
        let width = 1 << bits.get(bit).unwrap_or(&WIDTH_BITS.end);
        let lanes: Vec<_> = merged(&timeline, width).collect();
        for (lane, (runs, waiting)) in timeline.lanes.iter_mut().zip(lanes) {
            (lane.runs, lane.waiting) = (runs, waiting);
        }
        let shown: usize = timeline.lanes.iter().map(|lane| lane.runs.len() + lane.waiting.len()).sum();
        timeline.notes.push(format!(
            "thinned out: what is shorter than {} is drawn together, {shown} of {entries} entries; `ktstr trace FILE --output TRACE` has all",
            ktstr_model::Nanos(width)
        ));
    }
    let longest = timeline.charts.iter().map(|chart| chart.points.len()).max().unwrap_or(0);
    let step = longest.div_ceil(POINTS_MAX).max(1);
    if step > 1 {
        timeline.notes.push(format!("thinned out: each point of a chart is the largest of {step} samples"));
        for chart in &mut timeline.charts {
            chart.points = chart.points.chunks(step).filter_map(largest).collect();
        }
    }
    timeline
}

fn largest(points: &[(u64, Option<f64>)]) -> Option<(u64, Option<f64>)> {
    let values = points.iter().filter_map(|(_, value)| *value);
    Some((points.first()?.0, values.reduce(f64::max)))
}

type Waiting = Vec<(u64, u32)>;

/// Lanes with what is shorter than `width` merged.
fn merged(timeline: &Timeline, width: u64) -> impl Iterator<Item = (Vec<Run>, Waiting)> + '_ {
    timeline
        .lanes
        .iter()
        .map(move |lane| (merged_runs(&lane.runs, timeline.end, width), merged_waiting(&lane.waiting, width)))
}

/// Runs that are being merged.
#[derive(Default)]
struct Group {
    start: u64,
    length: u64,
    runs: u32,
    times: BTreeMap<Option<u32>, u64>,
}

impl Group {
    fn add(&mut self, run: &Run, length: u64) {
        if self.runs == 0 {
            self.start = run.at;
        }
        self.length += length;
        self.runs = self.runs.saturating_add(run.runs);
        *self.times.entry(run.task).or_default() += length;
    }

    fn close(&mut self, to: &mut Vec<Run>) {
        let Self { start, runs, times, .. } = std::mem::take(self);
        let longest = times.into_iter().max_by_key(|(_, time)| *time);
        to.extend(longest.map(|(task, _)| Run { at: start, task, runs }));
    }
}

fn merged_runs(runs: &[Run], end: u64, width: u64) -> Vec<Run> {
    let (mut kept, mut group) = (Vec::new(), Group::default());
    let ends = runs.iter().skip(1).map(|run| run.at).chain([end]);
    for (run, end) in runs.iter().zip(ends) {
        let length = end.saturating_sub(run.at);
        if length >= width {
            group.close(&mut kept);
            kept.push(*run);
            continue;
        }
        group.add(run, length);
        if group.length >= width {
            group.close(&mut kept);
        }
    }
    group.close(&mut kept);
    kept
}

/// The largest number of each stretch.
fn merged_waiting(points: &[(u64, u32)], width: u64) -> Waiting {
    let mut kept: Waiting = Vec::new();
    let mut put = |at: u64, number: u32| match kept.last_mut() {
        Some((since, largest)) if at < width.saturating_add(*since) => *largest = number.max(*largest),
        Some((_, last)) if *last == number => {}
        _ => kept.push((at, number)),
    };
    let mut before: Option<(u64, u32)> = None;
    for (at, number) in points {
        // What was the last number of a stretch goes on behind it.
        if let Some((since, last)) = before {
            put(since.saturating_add(width).min(*at), last);
        }
        put(*at, *number);
        before = Some((*at, *number));
    }
    if let Some((since, last)) = before {
        put(since.saturating_add(width), last);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(at: u64, task: u32, runs: u32) -> Run {
        Run { at, task: Some(task), runs }
    }

    #[test]
    fn short_runs_are_merged_into_the_one_that_ran_longest() {
        let runs = [
            run(0, 1, 1),
            run(100, 2, 1),
            run(101, 3, 1),
            run(104, 2, 1),
            run(105, 1, 1),
            run(300, 4, 1),
            run(302, 1, 1),
        ];
        assert_eq!(merged_runs(&runs, 303, 10), [run(0, 1, 1), run(100, 3, 3), run(105, 1, 1), run(300, 4, 2)]);
        assert_eq!(merged_runs(&runs, 303, 1), runs);
        assert_eq!(merged_runs(&[], 303, 1), []);
    }

    #[test]
    fn the_largest_number_stays() {
        let points = [(0, 1), (3, 9), (4, 2), (50, 0)];
        assert_eq!(merged_waiting(&points, 10), [(0, 9), (14, 2), (50, 0)]);
    }
}
