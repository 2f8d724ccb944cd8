//! The lines of a history that are about samples of the guest's kernel.

use super::notation::Reader;
use ktstr_model::monitor::SeriesSpec;
use ktstr_model::sample::{
    CpuSample, DsqSample, Held, Sample, ScxCpuSample, ScxSample, SeriesValue, TaskSample, TasksSample,
};
use ktstr_model::{Case, CpuSet, GuestNanos, MonitorSpec, Nanos};
use ktstr_recording::HostEvent;
use std::collections::BTreeMap;

/// From sample to sample, and from one look at tasks to the next.
const INTERVAL: u64 = 10_000_000;
const TASKS: u64 = 100_000_000;

/// What the host has seen so far.
#[derive(Default)]
pub(super) struct Seen {
    samples: BTreeMap<u64, Sample>,
    /// CPUs that ran something right before a sample in which they are idle.
    ran: Vec<(u64, u32)>,
    events: Vec<String>,
    series: Vec<String>,
    absent: Vec<String>,
    blind: Option<String>,
}

/// Reads a line; nothing if it is not of the notation.
pub(super) fn statement(reader: &mut Reader, word: &str, rest: &str) -> Option<()> {
    match word {
        "series" => reader.seen.series.push(rest.into()),
        "lacks" => reader.seen.absent.push(rest.into()),
        "blind" => reader.seen.blind = Some(rest.into()),
        _ => {
            let (times, what) = rest.split_once(' ').unwrap_or((rest, ""));
            let (first, last) = times.split_once("..").unwrap_or((times, times));
            let [first, last] = [first, last].map(|time| time.parse::<Nanos>().ok());
            let step = if what.starts_with("task") { TASKS } else { INTERVAL };
            let (first, last) = (first?.0, last?.0);
            for at in (first..=last).step_by(step as usize) {
                see(reader, reader.held_from + at, at - first, what)?;
            }
        }
    }
    Some(())
}

/// Changes what is seen at a time that is so long after the first one of its line.
fn see(reader: &mut Reader, at: u64, after: u64, what: &str) -> Option<()> {
    let all = reader.topology.cpus();
    let scx = Some(ScxSample { state: "enabled".into(), ..ScxSample::default() });
    let of_cpu = |cpu| CpuSample {
        cpu,
        clock: at,
        comm: format!("swapper/{cpu}"),
        scx: Some(ScxCpuSample::default()),
        ..CpuSample::default()
    };
    let Seen { samples, ran, events, series, .. } = &mut reader.seen;
    let sample = samples.entry(at).or_insert_with(|| Sample {
        cpus: (0..all).map(of_cpu).collect(),
        scx,
        series: vec![SeriesValue::NoMap; series.len()],
        ..Sample::default()
    });
    if let Some(task) = what.strip_prefix("task") {
        let tasks = sample.tasks.get_or_insert_with(|| TasksSample { complete: true, ..TasksSample::default() });
        if !task.trim().is_empty() {
            tasks.tasks.push(task_of(task.trim(), after, CpuSet::range(0, all))?);
        }
        return Some(());
    }
    for field in what.split_whitespace() {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        match name {
            "cpus" => {
                for (cpu, nr) in sample.cpus.iter_mut().zip(value.split(',')) {
                    cpu.nr_running = nr.parse().ok()?;
                    (cpu.curr, cpu.comm) = match cpu.nr_running {
                        0 => (0, format!("swapper/{}", cpu.cpu)),
                        _ => (1000 + cpu.cpu as i32, format!("busy/{}", cpu.cpu)),
                    };
                }
            }
            // `1:hog`: CPU 1 runs it; `1:idle`: it is idle, whatever there is to run.
            "curr" => {
                let (cpu, comm) = value.split_once(':')?;
                let cpu = sample.cpus.get_mut(cpu.parse::<usize>().ok()?)?;
                (cpu.curr, cpu.comm) = (if comm == "idle" { 0 } else { 999 }, comm.into());
            }
            "ran" => ran.push((at, value.parse().ok()?)),
            "off" => {
                let off: u32 = value.parse().ok()?;
                sample.cpus.retain(|cpu| cpu.cpu != off);
            }
            "unread" => {
                let unread: u32 = value.parse().ok()?;
                sample.cpus.retain(|cpu| cpu.cpu != unread);
                sample.unread += 1;
            }
            "clock" => {
                let clock = value.parse::<Nanos>().ok()?.0;
                sample.cpus.iter_mut().for_each(|cpu| cpu.clock = clock);
            }
            "local" => {
                for (cpu, nr) in sample.cpus.iter_mut().zip(value.split(',')) {
                    cpu.scx.as_mut()?.local_dsq_nr = nr.parse().ok()?;
                }
            }
            "noscx" => sample.scx = None,
            "torn" => sample.scx.as_mut()?.torn = true,
            "partial" => sample.tasks.as_mut()?.complete = false,
            "dsq" => {
                for part in value.split(',') {
                    let (id, nr) = part.split_once(':')?;
                    let (id, nr) = (id.parse().ok()?, nr.parse().ok()?);
                    sample.scx.as_mut()?.dsqs.push(DsqSample { id, nr, head_wait: None });
                }
            }
            "gone" => {
                let tasks = sample.tasks.get_or_insert_with(|| TasksSample { complete: true, ..Default::default() });
                tasks.gone.push(value.parse().ok()?);
            }
            _ if name.starts_with("SCX_EV_") => {
                let index = events.iter().position(|event| event == name).unwrap_or_else(|| {
                    events.push(name.into());
                    events.len() - 1
                });
                let counts = &mut sample.scx.as_mut()?.events;
                counts.resize(counts.len().max(index + 1), 0);
                counts[index] = number(value, after)?.try_into().ok()?;
            }
            _ => {
                let index = series.iter().position(|series| series == name)?;
                let value = match value {
                    "none" => SeriesValue::NoMap,
                    "unreadable" => SeriesValue::Unreadable,
                    value => SeriesValue::Number(number(value, after)?),
                };
                *sample.series.get_mut(index)? = value;
            }
        }
    }
    Some(())
}

/// `5`; `5+10`: 10 more with each sample.
fn number(text: &str, after: u64) -> Option<i128> {
    let (start, step) = text.split_once('+').unwrap_or((text, "0"));
    let [start, step]: [Option<i128>; 2] = [start, step].map(|number| number.parse().ok());
    Some(start? + step? * i128::from(after / INTERVAL))
}

/// `kworker/1:0 pid=40 wait=900ms allowed=1 kernel`; a wait grows with time, and a task without one sleeps.
fn task_of(text: &str, after: u64, all: CpuSet) -> Option<TaskSample> {
    let mut words = text.split_whitespace();
    let mut task = TaskSample { comm: words.next()?.into(), allowed: all, ..TaskSample::default() };
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "pid" => task.pid = value.parse().ok()?,
            "cpu" => task.cpu = value.parse().ok()?,
            "allowed" => task.allowed = value.parse().ok()?,
            "kernel" => task.is_kernel = true,
            "runs" => task.on_cpu = true,
            "ran" => task.runs = value.parse().ok()?,
            "nice" => task.nice = value.parse().ok()?,
            "policy" => task.policy = value.parse().ok()?,
            "wait" => task.waiting = Some(value.parse::<Nanos>().ok()?.0 + after),
            "throttled" => task.held = Some(Held::Throttled),
            "frozen" => task.held = Some(Held::Frozen),
            _ => return None,
        }
    }
    task.tgid = task.pid;
    Some(task)
}

impl Seen {
    /// All samples, what the host says of them, and what the case asks for; nothing if there is no line of them.
    pub(super) fn finish(mut self, case: &mut Case) -> (Vec<(GuestNanos, Sample)>, Option<HostEvent>) {
        if self.samples.is_empty() && self.blind.is_none() {
            return (Vec::new(), None);
        }
        let of = |name: String| SeriesSpec { name, map: "bss".into(), field: String::new(), key: None, of_all: None };
        case.monitor = Some(MonitorSpec { series: self.series.drain(..).map(of).collect(), ..MonitorSpec::default() });
        if let Some(problem) = self.blind {
            return (Vec::new(), Some(HostEvent::Unmonitored { problem }));
        }
        // What a CPU counts: nothing while it is idle.
        let mut runs: BTreeMap<u32, (bool, u64)> = BTreeMap::new();
        for (at, sample) in &mut self.samples {
            for cpu in &mut sample.cpus {
                let (was_idle, count) = runs.entry(cpu.cpu).or_insert((false, 0));
                let idle = cpu.curr == 0;
                *count += u64::from(!idle || !*was_idle || self.ran.contains(&(*at, cpu.cpu)));
                (*was_idle, cpu.runs) = (idle, *count);
            }
        }
        let samples = self.samples.into_iter().map(|(at, sample)| (GuestNanos(at), sample)).collect();
        (samples, Some(HostEvent::Monitored { slide: 0, events: self.events, absent: self.absent }))
    }
}
