//! Numbers over time, all from samples.

use crate::lanes::waiting_for;
use crate::timeline::Chart;
use ktstr_model::sample::{dsq_name, SeriesValue};
use ktstr_model::Sample;
use ktstr_recording::{HostEvent, Recording};
use std::collections::BTreeMap;

/// Dispatch queues with a chart of their own.
const DSQS_MAX: usize = 8;

type Points = Vec<(u64, Option<f64>)>;

/// All charts that have something to show.
pub(crate) fn of(recording: &Recording) -> Vec<Chart> {
    let samples: Vec<(u64, &Sample)> = recording.samples().map(|(at, sample)| (at.0, sample)).collect();
    if samples.is_empty() {
        return Vec::new();
    }
    let over_cpus = |name: &str, value: &dyn Fn(&Sample) -> f64| {
        let points = samples.iter().map(|(at, sample)| (*at, all_read(sample).map(value))).collect();
        Chart { name: name.into(), unit: "", points }
    };
    let imbalance = |sample: &Sample| f64::from(sample.imbalance().map_or(0, |(by, _)| by));
    let waiting = |sample: &Sample| sample.cpus.iter().map(|cpu| f64::from(waiting_for(cpu))).sum();
    let mut charts = vec![
        over_cpus("runnable tasks (nr_running)", &|sample| sample.nr_running() as f64),
        over_cpus("imbalance of nr_running", &imbalance),
        over_cpus("tasks that wait for a CPU", &waiting),
    ];
    charts.extend(longest_wait(&samples));
    charts.extend(dispatch_queues(&samples));
    charts.extend(events(recording, &samples));
    charts.extend(series(recording, &samples));
    charts.iter_mut().for_each(|chart| end(&mut chart.points));
    charts
}

/// What is said of all CPUs is known only if all could be read.
fn all_read(sample: &Sample) -> Option<&Sample> {
    (sample.unread == 0).then_some(sample)
}

/// The last value stands for as long as the one before it did.
fn end(points: &mut Points) {
    if let [.., (before, _), (last, _)] = points[..] {
        points.push((last.saturating_add(last.saturating_sub(before)), None));
    }
}

/// Of all tasks, where a sample looks at them.
fn longest_wait(samples: &[(u64, &Sample)]) -> Option<Chart> {
    let longest = |sample: &Sample| {
        let tasks = sample.tasks.as_ref()?;
        Some(tasks.tasks.iter().filter_map(|task| task.waiting).max().unwrap_or(0) as f64 / 1e6)
    };
    let points: Points =
        samples.iter().filter_map(|(at, sample)| longest(sample).map(|value| (*at, Some(value)))).collect();
    (!points.is_empty()).then(|| Chart { name: "longest wait of a task".into(), unit: " ms", points })
}

/// Local ones together, and of the others those that were the longest.
fn dispatch_queues(samples: &[(u64, &Sample)]) -> Vec<Chart> {
    let local = |sample: &Sample| -> Option<f64> {
        let depths: Vec<u32> = all_read(sample)?.cpus.iter().filter_map(|cpu| Some(cpu.scx?.local_dsq_nr)).collect();
        (!depths.is_empty()).then(|| depths.iter().map(|depth| f64::from(*depth)).sum())
    };
    let local: Points = samples.iter().map(|(at, sample)| (*at, local(sample))).collect();
    let mut charts = Vec::new();
    if local.iter().any(|(_, depth)| depth.is_some_and(|depth| depth > 0.0)) {
        charts.push(Chart { name: "tasks in local DSQs".into(), unit: "", points: local });
    }
    let mut queues: BTreeMap<u64, (u32, Points)> = BTreeMap::new();
    for (at, sample) in samples {
        for dsq in sample.scx.iter().flat_map(|scx| &scx.dsqs) {
            let (deepest, points) = queues.entry(dsq.id).or_default();
            *deepest = dsq.nr.max(*deepest);
            points.push((*at, Some(dsq.nr.into())));
        }
    }
    let mut queues: Vec<(u64, (u32, Points))> = queues.into_iter().filter(|(_, (deepest, _))| *deepest > 0).collect();
    queues.sort_by_key(|(_, (deepest, _))| std::cmp::Reverse(*deepest));
    let all = queues.len();
    for (id, (_, points)) in queues.into_iter().take(DSQS_MAX) {
        let of_many = if all > DSQS_MAX { format!(", one of the {DSQS_MAX} deepest of {all}") } else { String::new() };
        charts.push(Chart { name: format!("tasks in {}{of_many}", dsq_name(id)), unit: "", points });
    }
    charts
}

/// Events of sched_ext a second, of those that happened.
fn events(recording: &Recording, samples: &[(u64, &Sample)]) -> Vec<Chart> {
    let names = recording.host_events().find_map(|(_, event)| match event {
        HostEvent::Monitored { events, .. } => Some(events.as_slice()),
        _ => None,
    });
    let chart = |(index, name): (usize, &String)| {
        let count = |sample: &Sample| sample.scx.as_ref()?.events.get(index).copied();
        let of_pair = |((from, before), (to, after)): (&(u64, &Sample), &(u64, &Sample))| {
            (*to, count(before).zip(count(after)).and_then(|(before, after)| rate(before, after, *from, *to)))
        };
        let points: Points = samples.iter().zip(samples.iter().skip(1)).map(of_pair).collect();
        points.iter().any(|(_, value)| value.is_some_and(|value| value > 0.0)).then(|| Chart {
            name: name.clone(),
            unit: "/s",
            points,
        })
    };
    names.unwrap_or_default().iter().enumerate().filter_map(chart).collect()
}

/// None where the count begins anew, since the scheduler does.
fn rate(before: u64, after: u64, from: u64, to: u64) -> Option<f64> {
    let seconds = to.checked_sub(from).filter(|ns| *ns > 0)? as f64 / 1e9;
    Some(after.checked_sub(before)? as f64 / seconds)
}

/// What the case asks for.
fn series(recording: &Recording, samples: &[(u64, &Sample)]) -> Vec<Chart> {
    let specs = recording.header.case.monitor.iter().flat_map(|monitor| &monitor.series);
    let value = |sample: &Sample, index: usize| match sample.series.get(index) {
        Some(SeriesValue::Number(number)) => Some(*number as f64),
        _ => None,
    };
    let chart = |(index, name): (usize, &String)| Chart {
        name: name.clone(),
        unit: "",
        points: samples.iter().map(|(at, sample)| (*at, value(sample, index))).collect(),
    };
    specs.map(|spec| &spec.name).enumerate().map(chart).collect()
}
