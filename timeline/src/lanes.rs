//! Who ran where: lanes from context switches where there are any, else from samples. How many wait comes from samples alone.

use crate::timeline::{Lane, Run, Seen, Task, Timeline};
use ktstr_model::sample::CpuSample;
use ktstr_model::trace::Switch;
use ktstr_model::{trace, Plan, What};
use ktstr_recording::Recording;
use std::collections::{HashMap, HashSet};

/// Puts lanes and their tasks into a timeline that has none.
pub(crate) fn fill(timeline: &mut Timeline, recording: &Recording) {
    let case = &recording.header.case;
    let mut switches: Vec<Vec<&Switch>> = vec![Vec::new(); case.topology.cpus() as usize];
    for event in recording.events() {
        let What::Switches(part) = &event.what else { continue };
        // A guest can name a CPU that there is not.
        if let Some(of_cpu) = switches.get_mut(part.cpu as usize) {
            of_cpu.extend(&part.switches);
        }
    }
    switches.iter_mut().for_each(|of_cpu| of_cpu.sort_by_key(|switch| switch.at));
    // Of the time before the first switch and behind the last one nobody knows whether it was traced.
    let first = switches.iter().filter_map(|of_cpu| of_cpu.first()).map(|switch| switch.at.0).min();
    let last = switches.iter().filter_map(|of_cpu| of_cpu.last()).map(|switch| switch.at.0).max();
    let sampled = recording.samples().next().is_some();
    let traced = first.zip(last);
    if traced.is_none() && !sampled {
        return;
    }
    let lanes = (0..case.topology.cpus()).map(|cpu| Lane { cpu, ..Lane::default() });
    timeline.lanes = lanes.collect();
    timeline.seen = if traced.is_some() { Seen::Switches } else { Seen::Samples };
    let mut tasks = Tasks::new(&case.plan);
    if let Some(traced) = traced {
        for (lane, of_cpu) in timeline.lanes.iter_mut().zip(&switches) {
            from_switches(lane, of_cpu, traced, &mut tasks);
        }
    }
    from_samples(timeline, recording, &mut tasks);
    timeline.tasks.append(&mut tasks.all);
}

/// Tasks by what they are known by. Index 0 is idleness.
struct Tasks<'a> {
    plan: &'a Plan,
    /// Names of workers, as the kernel has them.
    workers: HashSet<String>,
    by_worker: HashMap<u32, u32>,
    by_pid: HashMap<i64, HashMap<&'a str, u32>>,
    all: Vec<Task>,
}

const IDLE: u32 = 0;
/// Bytes of a task's name in the kernel.
const COMM_BYTES: usize = 15;

impl<'a> Tasks<'a> {
    fn new(plan: &'a Plan) -> Self {
        let workers = (0..plan.workers()).map(|worker| in_kernel(&plan.worker_name(worker))).collect();
        Self { plan, workers, by_worker: HashMap::new(), by_pid: HashMap::new(), all: Vec::new() }
    }

    fn traced(&mut self, task: &'a trace::Task) -> u32 {
        match task {
            trace::Task::Other { pid: 0, .. } => IDLE,
            trace::Task::Other { pid, comm } => self.seen(i64::from(*pid), comm),
            trace::Task::Worker(worker) => {
                let (all, plan) = (&mut self.all, self.plan);
                *self.by_worker.entry(*worker).or_insert_with(|| {
                    all.push(Task { pid: None, name: worker_of(plan, *worker), worker: true });
                    all.len() as u32
                })
            }
        }
    }

    fn seen(&mut self, pid: i64, comm: &'a str) -> u32 {
        let (all, workers) = (&mut self.all, &self.workers);
        *self.by_pid.entry(pid).or_default().entry(comm).or_insert_with(|| {
            all.push(Task { pid: Some(pid), name: comm.to_owned(), worker: workers.contains(comm) });
            all.len() as u32
        })
    }
}

/// With its cgroup: `a: cpu_spin/3`.
fn worker_of(plan: &Plan, worker: u32) -> String {
    let group = plan.group_of(worker).and_then(|index| plan.groups.get(index));
    let cgroup = group.and_then(|group| plan.cgroups.get(group.cgroup as usize));
    let name = plan.worker_name(worker);
    cgroup.map_or(name.clone(), |cgroup| format!("{}: {name}", cgroup.name))
}

/// A worker's name as the guest tells it to the kernel, which has few bytes for it.
fn in_kernel(name: &str) -> String {
    let (work, number) = name.rsplit_once('/').unwrap_or((name, ""));
    let room = COMM_BYTES.saturating_sub(number.len() + 1);
    format!("{}/{number}", work.get(..room).unwrap_or(work))
}

fn from_switches<'a>(lane: &mut Lane, switches: &[&'a Switch], (first, last): (u64, u64), tasks: &mut Tasks<'a>) {
    // Until a CPU's first switch its predecessor ran. A CPU without any did something, all the time.
    let before = switches.first().map(|switch| (first, &switch.prev));
    let all = before.into_iter().chain(switches.iter().map(|switch| (switch.at.0, &switch.next)));
    for (at, task) in all {
        push(&mut lane.runs, at, Some(tasks.traced(task)));
    }
    push(&mut lane.runs, last, None);
}

/// A run begins, unless the CPU goes on with what it does. One of no length never was.
fn push(runs: &mut Vec<Run>, at: u64, task: Option<u32>) {
    runs.pop_if(|last| last.at == at);
    if runs.last().is_none_or(|last| last.task != task) {
        runs.push(Run { at, task, runs: 1 });
    }
}

fn from_samples<'a>(timeline: &mut Timeline, recording: &'a Recording, tasks: &mut Tasks<'a>) {
    let (mut last, mut gap) = (0, 0);
    for (at, sample) in recording.samples() {
        // The time is the guest's word: a lane goes on only.
        let now = at.0.max(last);
        (last, gap) = (now, now - last);
        let mut of_cpu: Vec<Option<&CpuSample>> = vec![None; timeline.lanes.len()];
        for cpu in &sample.cpus {
            if let Some(place) = of_cpu.get_mut(cpu.cpu as usize) {
                *place = Some(cpu);
            }
        }
        for (lane, cpu) in timeline.lanes.iter_mut().zip(of_cpu) {
            if timeline.seen == Seen::Samples {
                let task = cpu.map(|cpu| if cpu.curr == 0 { IDLE } else { tasks.seen(cpu.curr.into(), &cpu.comm) });
                push(&mut lane.runs, last, task);
            }
            let waiting = cpu.map_or(0, waiting_for);
            if lane.waiting.last().map_or(0, |(_, before)| *before) != waiting {
                lane.waiting.push((last, waiting));
            }
        }
    }
    // The last sample stands for as long as the one before it did.
    let end = last.saturating_add(gap);
    for lane in timeline.lanes.iter_mut().filter(|_| last > 0 && end < timeline.end) {
        if timeline.seen == Seen::Samples {
            push(&mut lane.runs, end, None);
        }
        if lane.waiting.last().is_some_and(|(_, number)| *number > 0) {
            lane.waiting.push((end, 0));
        }
    }
}

/// Runnable tasks of a CPU that do not run.
pub(crate) fn waiting_for(cpu: &CpuSample) -> u32 {
    cpu.nr_running.saturating_sub(u32::from(cpu.curr != 0))
}
