//! A tiny notation for histories, so that a test of the judge reads as what happened.
//!
//! ```text
//! a: cpu_spin x2 @0-1        two workers in cgroup a, which may run on CPUs 0 and 1 (without @: on all)
//! b: bursty x1               another group; each line of this kind is a group of its own
//! hold 1s                    they run for a second; all that is not said below is as it should be
//! a/0 it=0 cpu=0ms           what worker 0 of cgroup a did instead
//! freeze a                   from here on cgroup a is frozen
//! step                       the next step
//! hold 500ms
//! b/0 gap=80ms wake=1ms,9ms
//! ```
//!
//! Fields of a worker's report: `it` iterations, `cpu` CPU time, `delay` time runnable without running, `gap` longest gap,
//! `on` CPUs it was seen on, `wake` wakeup latencies; `missing` alone: there is no report. Further lines: `thaw a`, `move a b`,
//! `died a/0 11` (wait status), `failed create cgroup a: no space`, `cut` (the guest says no more).
//!
//! Only tests use this: a text that is not of the notation is a panic with the line.

#![allow(clippy::panic)]

use ktstr_model::event::{GuestFailure, LatencyHistogram, SeenCpu, SeenMachine, SeenNode, WorkerReport};
use ktstr_model::plan::{Action, CgroupPlan, GroupPlan, StepPlan, WorkerExpectation};
use ktstr_model::work::Policy;
use ktstr_model::{Backend, Case, Clock, CpuSet, Event, GuestNanos, Nanos, Plan, Topology, What, Work};
use ktstr_recording::host::EXIT_FINISHED;
use ktstr_recording::{Ending, Entry, Header, HostEvent, HostNanos, Recording, Writer};
use std::path::Path;

/// A case and what came of it.
#[derive(Debug, Clone)]
pub struct History {
    /// The case.
    pub case: Case,
    /// What the guest sees of its machine; by default what was declared.
    pub seen: Option<SeenMachine>,
    /// What the guest said after that.
    pub events: Vec<Event>,
    /// What the host saw; by default that the guest has ended as it should.
    pub host: Vec<HostEvent>,
}

/// Guest time at which a history's first step starts.
const START: u64 = 2_000_000_000;

/// Reads a history on a machine with this label (`1n2l4c2t`).
///
/// # Panics
/// If the label or the text is not of the notation.
pub fn history(topology: &str, text: &str) -> History {
    let topology = topology_of(topology);
    let mut reader = Reader::new(topology);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if reader.statement(line).is_none() {
            panic!("`{line}` is not a line of a history");
        }
    }
    reader.finish()
}

impl History {
    /// Ends in another way: the guest says nothing more than its history has.
    #[must_use]
    pub fn ended(mut self, ending: Ending) -> Self {
        self.events.retain(|event| event.what != What::Finished);
        self.host = vec![HostEvent::Ended(ending)];
        self
    }

    /// The host saw this, too.
    #[must_use]
    pub fn host(mut self, event: HostEvent) -> Self {
        self.host.insert(0, event);
        self
    }

    /// The guest sees something else than was declared.
    #[must_use]
    pub fn seen(mut self, change: impl Fn(&mut SeenMachine)) -> Self {
        self.seen.iter_mut().for_each(change);
        self
    }

    /// As a recording, written and read back.
    pub fn recording(&self) -> Recording {
        let bytes = self.write();
        Recording::from_bytes(&bytes, "history").expect("it was just written")
    }

    /// As the bytes of a recording.
    pub fn write(&self) -> Vec<u8> {
        let header = Header { made_by: "history".into(), case: self.case.clone() };
        let mut writer = Writer::new(Vec::new(), Path::new("history"), &header).expect("memory");
        let booted = self.seen.iter().map(|seen| Event { at: GuestNanos(1), what: What::Booted(seen.clone()) });
        let guest = booted.chain(self.events.iter().cloned()).map(Entry::Guest);
        let host = self.host.iter().cloned().map(|event| Entry::Host(HostNanos(1), event));
        for entry in guest.chain(host) {
            let written = match entry {
                Entry::Guest(event) => writer.guest(&event),
                Entry::Host(at, event) => writer.host(at, &event),
                Entry::Console(bytes) => writer.console(&bytes),
            };
            written.expect("memory");
        }
        writer.finish().expect("memory")
    }
}

/// The topology with a label.
fn topology_of(label: &str) -> Topology {
    let counts: Vec<u32> = label.split_terminator(char::is_alphabetic).filter_map(|count| count.parse().ok()).collect();
    match counts[..] {
        [nodes, llcs, cores, threads] => Topology::new(nodes, llcs, cores, threads).expect("a topology that can be"),
        _ => panic!("`{label}` is not a label such as 1n2l4c2t"),
    }
}

/// What a guest sees of a machine if all is well.
pub fn seen_machine(topology: &Topology) -> SeenMachine {
    let find = |cpu: u32, count: u32, cpus_of: &dyn Fn(u32) -> CpuSet| {
        (0..count).map(|index| (index, cpus_of(index))).find(|(_, cpus)| cpus.contains(cpu)).unwrap_or_default()
    };
    let cpu = |cpu| SeenCpu {
        cpu,
        package: find(cpu, topology.numa_nodes(), &|node| topology.node_cpus(node)).0 as i32,
        siblings: find(cpu, topology.cpus() / topology.threads_per_core(), &|core| topology.core_cpus(core)).1,
        llc: find(cpu, topology.llcs(), &|llc| topology.llc_cpus(llc)).1,
    };
    let distance = |from: u32, to: u32| {
        let declared = topology.distances().and_then(|rows| rows.get(from as usize)?.get(to as usize));
        declared.map_or(if from == to { 10 } else { 20 }, |distance| u32::from(*distance))
    };
    let node = |(node, memory): (u32, ktstr_model::Mebibytes)| SeenNode {
        node,
        cpus: topology.node_cpus(node),
        distances: (0..topology.numa_nodes()).map(|to| distance(node, to)).collect(),
        memory_kib: memory.0 * 1024 * 95 / 100,
    };
    SeenMachine {
        release: "7.3.4".into(),
        cpus: (0..topology.cpus()).map(cpu).collect(),
        nodes: (0..topology.numa_nodes()).zip(topology.node_memory()).map(node).collect(),
        clocksource: "tsc".into(),
    }
}

/// What has been read so far.
struct Reader {
    topology: Topology,
    plan: Plan,
    /// What each worker may do now, in the order of ids.
    expect: Vec<WorkerExpectation>,
    /// Cgroup of each worker now.
    cgroups: Vec<u32>,
    events: Vec<Event>,
    now: u64,
    segments: u32,
    cut: bool,
}

impl Reader {
    fn new(topology: Topology) -> Self {
        let plan = Plan { seed: 0, cgroups: vec![], groups: vec![], steps: vec![] };
        let mut reader = Self {
            topology,
            plan,
            expect: vec![],
            cgroups: vec![],
            events: vec![],
            now: START,
            segments: 0,
            cut: false,
        };
        reader.say(What::Ready);
        reader.step();
        reader
    }

    fn say(&mut self, what: What) {
        if !self.cut {
            self.events.push(Event { at: GuestNanos(self.now), what });
        }
    }

    fn step(&mut self) {
        self.say(What::StepStarted { step: self.plan.steps.len() as u32 });
        self.plan.steps.push(StepPlan { actions: vec![] });
    }

    fn act(&mut self, action: Action) {
        self.plan.steps.last_mut().expect("the first step is there from the beginning").actions.push(action);
    }

    fn statement(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "step" => self.step(),
            "cut" => self.cut = true,
            "hold" => self.hold(rest.parse().ok()?),
            "freeze" | "thaw" => self.freeze(rest, word == "freeze")?,
            "move" => self.move_tasks(rest)?,
            "died" => {
                let (worker, status) = rest.split_once(' ')?;
                let what = What::WorkerDied { worker: self.worker(worker)?, status: status.parse().ok()? };
                self.say(what);
            }
            "failed" => {
                let (doing, problem) = rest.split_once(": ")?;
                self.say(What::Failed(GuestFailure { doing: doing.into(), problem: problem.into() }));
            }
            _ => match word.strip_suffix(':') {
                Some(cgroup) => self.group(cgroup, rest)?,
                None => self.report(word, rest)?,
            },
        }
        Some(())
    }

    /// Index of a cgroup, which is created if there is none of that name.
    fn cgroup(&mut self, name: &str) -> u32 {
        if let Some(index) = self.plan.cgroups.iter().position(|cgroup| cgroup.name == name) {
            return index as u32;
        }
        let index = self.plan.cgroups.len() as u32;
        self.plan.cgroups.push(CgroupPlan { name: name.into(), parent: None, cpus: None, weight: None, cpu_max: None });
        self.act(Action::CreateCgroup(index));
        index
    }

    fn group(&mut self, cgroup: &str, text: &str) -> Option<()> {
        let cgroup = self.cgroup(cgroup);
        let (mut work, mut workers, mut cpus) = (Work::CpuSpin, 1, self.topology.all_cpus());
        for word in text.split_whitespace() {
            match (word.strip_prefix('x'), word.strip_prefix('@')) {
                (Some(count), _) => workers = count.parse().ok()?,
                (_, Some(list)) => cpus = list.parse().ok()?,
                _ => work = work_of(word)?,
            }
        }
        let (group, first_worker) = (self.plan.groups.len() as u32, self.plan.workers());
        let (affinity, policy) = (vec![], Policy::Other);
        self.plan.groups.push(GroupPlan { cgroup, first_worker, workers, work, affinity, policy, nice: 0 });
        for worker in first_worker..first_worker + workers {
            self.expect.push(WorkerExpectation { worker, cpus: cpus.clone(), frozen: false });
            self.cgroups.push(cgroup);
        }
        self.act(Action::Start(group));
        Some(())
    }

    fn freeze(&mut self, name: &str, frozen: bool) -> Option<()> {
        let cgroup = self.plan.cgroups.iter().position(|cgroup| cgroup.name == name)? as u32;
        let workers = self.expect.iter_mut().zip(&self.cgroups);
        workers.filter(|(_, of)| **of == cgroup).for_each(|(expect, _)| expect.frozen = frozen);
        self.act(Action::Freeze { cgroup, frozen });
        Some(())
    }

    fn move_tasks(&mut self, rest: &str) -> Option<()> {
        let (from, to) = rest.split_once(' ')?;
        let (from, to) = (self.cgroup(from), self.cgroup(to));
        self.cgroups.iter_mut().filter(|cgroup| **cgroup == from).for_each(|cgroup| *cgroup = to);
        self.act(Action::MoveTasks { from, to });
        Some(())
    }

    /// Id of `cgroup/index`.
    fn worker(&self, name: &str) -> Option<u32> {
        let (cgroup, index) = name.split_once('/')?;
        let cgroup = self.plan.cgroups.iter().position(|of| of.name == cgroup)? as u32;
        let mut workers = (0u32..).zip(&self.cgroups).filter(|(_, of)| **of == cgroup);
        workers.nth(index.parse().ok()?).map(|(worker, _)| worker)
    }

    /// A hold in which all is well; reports can be changed afterwards.
    fn hold(&mut self, duration: Nanos) {
        let segment = self.segments;
        self.segments += 1;
        self.act(Action::Hold { duration, expect: self.expect.clone() });
        self.say(What::SegmentStarted { segment });
        self.now += duration.0;
        self.say(What::SegmentEnded { segment });
        for expect in self.expect.clone() {
            let blocks = self.plan.group_of(expect.worker).is_some_and(|group| self.plan.groups[group].work.blocks());
            let idle = WorkerReport { worker: expect.worker, segment, ..Default::default() };
            let report = match expect.frozen {
                true => idle,
                false => WorkerReport {
                    iterations: duration.0 / 100_000,
                    cpu_ns: duration.0 / 2,
                    gap_max_ns: 1_000_000,
                    gap_max_at: self.now,
                    gap_max_cpu: expect.cpus.iter().next().unwrap_or(0),
                    cpus: expect.cpus.clone(),
                    wakeups: if blocks { latencies(&[Nanos(10_000); 100]) } else { LatencyHistogram::default() },
                    ..idle
                },
            };
            self.say(What::Worker(report));
        }
    }

    /// Changes the report of a worker in the last segment.
    fn report(&mut self, worker: &str, fields: &str) -> Option<()> {
        let (worker, segment) = (self.worker(worker)?, self.segments.checked_sub(1)?);
        let place = self.events.iter().rposition(
            |event| matches!(&event.what, What::Worker(report) if (report.worker, report.segment) == (worker, segment)),
        )?;
        if fields == "missing" {
            self.events.remove(place);
            return Some(());
        }
        let What::Worker(report) = &mut self.events[place].what else { return None };
        for field in fields.split_whitespace() {
            let (name, value) = field.split_once('=')?;
            let nanos = || value.parse::<Nanos>().ok().map(|nanos| nanos.0);
            match name {
                "it" => report.iterations = value.parse().ok()?,
                "cpu" => report.cpu_ns = nanos()?,
                "delay" => report.run_delay_ns = nanos()?,
                "gap" => report.gap_max_ns = nanos()?,
                "on" => report.cpus = value.parse().ok()?,
                "wake" => {
                    let values: Option<Vec<Nanos>> = value.split(',').map(|value| value.parse().ok()).collect();
                    report.wakeups = latencies(&values?);
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn finish(mut self) -> History {
        self.say(What::Finished);
        let case = Case {
            name: format!("history[{}][s0]", self.topology),
            topology: self.topology,
            backend: Backend::Tcg,
            clock: Clock::Virtual,
            seed: 0,
            kernel_args: vec![],
            plan: self.plan,
            checks: vec![],
            inputs: vec![],
        };
        let seen = Some(seen_machine(&case.topology));
        let host = vec![HostEvent::Ended(Ending::Guest { code: EXIT_FINISHED })];
        History { case, seen, events: self.events, host }
    }
}

fn work_of(name: &str) -> Option<Work> {
    Some(match name {
        "cpu_spin" => Work::CpuSpin,
        "yield_heavy" => Work::YieldHeavy,
        "bursty" => Work::Bursty { burst: Nanos(5_000_000), sleep: Nanos(20_000_000) },
        "pipe_ping_pong" => Work::PipePingPong,
        "futex_ping_pong" => Work::FutexPingPong,
        _ => return None,
    })
}

fn latencies(values: &[Nanos]) -> LatencyHistogram {
    let mut histogram = LatencyHistogram::default();
    for Nanos(value) in values {
        let bucket = LatencyHistogram::bucket_of(*value) as u16;
        histogram.merge(&LatencyHistogram { buckets: vec![(bucket, 1)], max_ns: *value });
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_stands_there() {
        let history = history(
            "1n2l2c1t",
            "a: cpu_spin x2 @0-1
             hold 1s
             a/1 it=7 cpu=3ms delay=2ms gap=9ms on=3
             freeze a
             step
             hold 500ms",
        );
        let segments: Vec<_> = history.case.plan.segments().map(|(step, duration, _)| (step, duration.0)).collect();
        assert_eq!(segments, [(0, 1_000_000_000), (1, 500_000_000)]);
        let recording = history.recording();
        let iterations: Vec<u64> = recording
            .events()
            .filter_map(|event| match &event.what {
                What::Worker(report) => Some(report.iterations),
                _ => None,
            })
            .collect();
        assert_eq!(iterations, [10_000, 7, 0, 0]);
        assert_eq!(recording.damage, None);
        assert_eq!(recording.ending(), Some(&Ending::Guest { code: EXIT_FINISHED }));
    }

    #[test]
    #[should_panic(expected = "`a: cpu_spn` is not a line of a history")]
    fn other_texts_are_told() {
        history("1n1l1c1t", "a: cpu_spn");
    }
}
