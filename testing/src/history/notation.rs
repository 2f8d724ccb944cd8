//! Reads the notation of histories.

use super::samples::Seen;
use super::{seen_machine, History};
use crate::plain_case;
use ktstr_model::event::{GuestFailure, LatencyHistogram, WorkerReport};
use ktstr_model::plan::{Action, CgroupPlan, GroupPlan, StepPlan, WorkerExpectation};
use ktstr_model::spec::CpuMaxSpec;
use ktstr_model::work::Policy;
use ktstr_model::{Case, Clock, Event, GuestNanos, Nanos, Plan, Topology, What, Work};
use ktstr_recording::host::EXIT_FINISHED;
use ktstr_recording::{CpuSteal, Ending, HostEvent};

/// Guest time at which a history's first step starts.
const START: u64 = 2_000_000_000;

/// What has been read so far.
pub(super) struct Reader {
    pub(super) topology: Topology,
    pub(super) plan: Plan,
    /// What each worker may do now, in the order of ids.
    expect: Vec<WorkerExpectation>,
    /// Cgroup of each worker now.
    cgroups: Vec<u32>,
    events: Vec<Event>,
    pub(super) now: u64,
    segments: u32,
    cut: bool,
    steal: Vec<CpuSteal>,
    /// When the last hold began.
    pub(super) held_from: u64,
    pub(super) seen: Seen,
}

impl Reader {
    pub(super) fn new(topology: Topology) -> Self {
        let plan = Plan { seed: 0, cgroups: vec![], groups: vec![], steps: vec![], trace: vec![], scheduler: None };
        let mut reader = Self {
            topology,
            plan,
            expect: vec![],
            cgroups: vec![],
            events: vec![],
            now: START,
            segments: 0,
            cut: false,
            steal: vec![],
            held_from: START,
            seen: Seen::default(),
        };
        reader.say(What::Ready);
        reader.step();
        reader
    }

    pub(super) fn say(&mut self, what: What) {
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

    /// Reads a line; nothing if it is not of the notation.
    pub(super) fn statement(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "step" => self.step(),
            "cut" => self.cut = true,
            "hold" => self.hold(rest.parse().ok()?),
            "freeze" | "thaw" => self.freeze(rest, word == "freeze")?,
            "move" => self.move_tasks(rest)?,
            "weight" => self.set_weight(rest)?,
            "limit" => self.limit(rest),
            "nest" => self.nest(rest)?,
            "steal" => self.steal(rest)?,
            "scx" => super::scheduler::statement(self, rest)?,
            "see" | "series" | "lacks" | "blind" => super::samples::statement(self, word, rest)?,
            "broken" => {
                self.say(What::BrokenOff);
                self.cut = true;
            }
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
        let (mut nice, mut policy) = (0, Policy::Other);
        for word in text.split_whitespace() {
            match word.split_at_checked(1)? {
                ("x", count) => workers = count.parse().ok()?,
                ("@", list) => cpus = list.parse().ok()?,
                ("n", value) if value.starts_with(['+', '-']) => nice = value.parse().ok()?,
                _ if word == "fifo" => policy = Policy::Fifo(1),
                _ => work = work_of(word)?,
            }
        }
        let (group, first_worker) = (self.plan.groups.len() as u32, self.plan.workers());
        self.plan.groups.push(GroupPlan { cgroup, first_worker, workers, work, affinity: vec![], policy, nice });
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

    fn set_weight(&mut self, rest: &str) -> Option<()> {
        let (name, weight) = rest.split_once(' ')?;
        let (cgroup, weight) = (self.cgroup(name), weight.parse().ok()?);
        self.act(Action::SetWeight { cgroup, weight });
        Some(())
    }

    fn limit(&mut self, name: &str) {
        let cgroup = self.cgroup(name);
        let cpu_max = Some(CpuMaxSpec { quota: Nanos(50_000_000), period: Nanos(100_000_000) });
        self.act(Action::SetCpuMax { cgroup, cpu_max });
    }

    /// The parent has to be there before.
    fn nest(&mut self, rest: &str) -> Option<()> {
        let (child, parent) = rest.split_once(' ')?;
        let (parent, child) = (self.cgroup(parent), self.cgroup(child));
        self.plan.cgroups.get_mut(child as usize)?.parent = Some(parent);
        Some(())
    }

    fn steal(&mut self, rest: &str) -> Option<()> {
        let (cpu, longest) = rest.split_once(' ')?;
        let longest_ns = longest.parse::<Nanos>().ok()?.0;
        let longest_at = Some(GuestNanos(self.now));
        self.steal.push(CpuSteal { cpu: cpu.parse().ok()?, total_ns: longest_ns, longest_ns, longest_at });
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
        self.held_from = self.now;
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

    /// The history, in which the guest ends as it should.
    pub(super) fn finish(mut self) -> History {
        self.say(What::Finished);
        let mut case = Case {
            name: format!("history[{}][s0]", self.topology),
            topology: self.topology,
            clock: if self.steal.is_empty() { Clock::Virtual } else { Clock::Real },
            plan: self.plan,
            ..plain_case()
        };
        let seen = Some(seen_machine(&case.topology));
        let steal = Some(self.steal).filter(|steal| !steal.is_empty()).map(HostEvent::Steal);
        let (samples, watched) = self.seen.finish(&mut case);
        let host =
            watched.into_iter().chain(steal).chain([HostEvent::Ended(Ending::Guest { code: EXIT_FINISHED })]).collect();
        History { case, seen, events: self.events, host, samples }
    }
}

fn work_of(name: &str) -> Option<Work> {
    Some(match name {
        "cpu_spin" => Work::CpuSpin,
        "yield_heavy" => Work::YieldHeavy,
        "bursty" => Work::Bursty { burst: Nanos(5_000_000), sleep: Nanos(20_000_000) },
        "pipe_ping_pong" => Work::PipePingPong,
        "futex_ping_pong" => Work::FutexPingPong,
        "racy_counter" => Work::RacyCounter,
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
