//! The view of a recording that checks look at: segments that have ended, with the reports of their workers.

use crate::samples::Samples;
use crate::scheduler::SchedulerRun;
use crate::settings::Settings;
use ktstr_model::event::{GuestFailure, SeenMachine, WorkerReport};
use ktstr_model::plan::WorkerExpectation;
use ktstr_model::trace::{CpuSwitchCount, TraceEvent};
use ktstr_model::verdict::Place;
use ktstr_model::{Case, CpuSet, Event, GuestNanos, Phase, What};
use ktstr_recording::{CpuSteal, HostEvent, Recording};
use std::collections::BTreeMap;

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) case: &'a Case,
    /// What the guest saw of its machine; none: it did not come so far.
    pub(crate) seen: Option<&'a SeenMachine>,
    /// Segments that have ended, in order.
    pub(crate) segments: Vec<Segment<'a>>,
    /// Number of segments of each step, as planned.
    planned: Vec<usize>,
    /// What the plan has set by each segment, and at its end.
    pub(crate) settings: Vec<Settings>,
    /// Why the guest could not go on.
    pub(crate) failures: Vec<(GuestNanos, &'a GuestFailure)>,
    /// Workers that ended by themselves: when, which, wait status.
    pub(crate) deaths: Vec<(GuestNanos, u32, i32)>,
    /// Context switches by CPU, if the plan asks for them.
    pub(crate) switches: BTreeMap<u32, Switches>,
    /// What became of the scheduler under test; none: the case has none.
    pub(crate) scheduler: Option<SchedulerRun<'a>>,
    /// What the host saw of the guest's kernel.
    pub(crate) samples: Samples<'a>,
    /// What the host took from each CPU; empty if it is not known.
    pub(crate) steal: &'a [CpuSteal],
    /// How many ops of the host the guest has come to.
    pub(crate) ops_wanted: u32,
    /// Whether the guest did not go on for want of its scheduler.
    pub(crate) broken_off: bool,
    /// Events that do not fit the plan.
    pub(crate) strays: u64,
    /// Time of the last event.
    pub(crate) last: Option<GuestNanos>,
    /// The step that the guest was in last.
    pub(crate) step: Option<u32>,
    pub(crate) started: bool,
    pub(crate) ready: bool,
    pub(crate) finished: bool,
}

/// Context switches of a CPU.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    /// That came.
    pub(crate) seen: u64,
    /// What the guest says of them; none: it has not said that those were all.
    pub(crate) count: Option<CpuSwitchCount>,
}

/// A hold that has ended.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) number: u32,
    pub(crate) step: u32,
    pub(crate) expect: &'a [WorkerExpectation],
    pub(crate) start: GuestNanos,
    pub(crate) end: GuestNanos,
    /// By worker.
    pub(crate) reports: BTreeMap<u32, &'a WorkerReport>,
}

impl Segment<'_> {
    pub(crate) fn nanos(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// What each worker that was expected to run did. Workers without a report are left out.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&WorkerExpectation, &WorkerReport)> {
        let expected = self.expect.iter().filter(|expect| !expect.frozen);
        expected.filter_map(|expect| Some((expect, *self.reports.get(&expect.worker)?)))
    }
}

/// What a worker did in one step, all segments in which it was expected to run taken together.
#[derive(Debug)]
pub(crate) struct WorkerStep {
    pub(crate) worker: u32,
    pub(crate) step: u32,
    /// The last segment.
    pub(crate) segment: u32,
    /// When that ended.
    pub(crate) end: GuestNanos,
    /// Whether that was all segments of the step.
    pub(crate) whole: bool,
    pub(crate) nanos: u64,
    pub(crate) iterations: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) run_delay_ns: u64,
    /// CPUs that it could run on.
    pub(crate) allowed: CpuSet,
    /// CPUs that it was seen on.
    pub(crate) cpus: CpuSet,
}

impl<'a> Run<'a> {
    pub(crate) fn new(recording: &'a Recording) -> Self {
        let case = &recording.header.case;
        let mut planned = vec![0; case.plan.steps.len()];
        case.plan.segments().for_each(|(step, _, _)| planned.get_mut(step).into_iter().for_each(|count| *count += 1));
        let mut run = Self {
            case,
            seen: None,
            segments: Vec::new(),
            planned,
            settings: Settings::of(&case.plan),
            failures: Vec::new(),
            deaths: Vec::new(),
            switches: BTreeMap::new(),
            scheduler: case.plan.scheduler.as_ref().map(SchedulerRun::new),
            samples: Samples::of(recording),
            steal: recording.steal(),
            ops_wanted: 0,
            broken_off: false,
            strays: 0,
            last: None,
            step: None,
            started: recording.host_events().any(|(_, event)| matches!(event, HostEvent::MachineStarted { .. })),
            ready: false,
            finished: false,
        };
        let plan: Vec<_> = case.plan.segments().collect();
        let mut open = None;
        for event in recording.events() {
            run.take(event, &plan, &mut open);
        }
        run
    }

    /// `plan` holds the segments in order, `open` the one that has begun.
    fn take(
        &mut self,
        event: &'a Event,
        plan: &[(usize, ktstr_model::Nanos, &'a [WorkerExpectation])],
        open: &mut Option<(u32, GuestNanos)>,
    ) {
        self.last = self.last.max(Some(event.at));
        let fits = match &event.what {
            What::Booted(seen) => self.seen.replace(seen).is_none(),
            What::Ready => !std::mem::replace(&mut self.ready, true),
            What::Finished => !std::mem::replace(&mut self.finished, true),
            What::StepStarted { step } => {
                self.step = Some(*step);
                self.scheduler.iter_mut().for_each(SchedulerRun::go_on);
                (*step as usize) < self.planned.len()
            }
            What::SegmentStarted { segment } => {
                self.scheduler.iter_mut().for_each(SchedulerRun::go_on);
                open.replace((*segment, event.at)).is_none()
            }
            What::SegmentEnded { segment } => {
                let begun = open.take().filter(|(begun, _)| begun == segment);
                let planned = plan.get(*segment as usize).filter(|_| self.segments.len() == *segment as usize);
                match (begun, planned) {
                    (Some((_, start)), Some((step, _, expect))) => {
                        let (number, step) = (*segment, *step as u32);
                        let reports = BTreeMap::new();
                        self.segments.push(Segment { number, step, expect, start, end: event.at, reports });
                        true
                    }
                    _ => false,
                }
            }
            What::Worker(report) => match self.segments.get_mut(report.segment as usize) {
                Some(segment) => segment.reports.insert(report.worker, report).is_none(),
                None => false,
            },
            What::WorkerDied { worker, status } => {
                self.deaths.push((event.at, *worker, *status));
                *worker < self.case.plan.workers()
            }
            What::Failed(failure) => {
                self.failures.push((event.at, failure));
                true
            }
            What::Switches(part) => self.switches_of(part.cpu).is_some_and(|switches| {
                switches.seen += part.switches.len() as u64;
                switches.count.is_none()
            }),
            What::SwitchesEnded(count) => {
                self.switches_of(count.cpu).is_some_and(|switches| switches.count.replace(*count).is_none())
            }
            What::HostOp { op } => {
                let fits = *op == self.ops_wanted && (*op as usize) < self.case.host_ops.len();
                self.ops_wanted += u32::from(fits);
                fits
            }
            // No case has a shell.
            What::ShellExited { .. } => false,
            What::BrokenOff => !std::mem::replace(&mut self.broken_off, true),
            What::SchedulerStarted { .. }
            | What::SchedExt(_)
            | What::SchedulerOutput(_)
            | What::SchedulerSignalled { .. }
            | What::SchedulerExited { .. }
            | What::KernelLog(_)
            | What::SchedExtDump { .. }
            | What::SchedulerCommand { .. }
            | What::SchedulerOverdue(_) => self.scheduler.as_mut().is_some_and(|scheduler| scheduler.take(event)),
        };
        self.strays += u64::from(!fits);
    }

    /// Context switches of a CPU that may have some.
    fn switches_of(&mut self, cpu: u32) -> Option<&mut Switches> {
        let asked = self.case.plan.trace.contains(&TraceEvent::SchedSwitch);
        (asked && cpu < self.case.topology.cpus()).then(|| self.switches.entry(cpu).or_default())
    }

    /// How far the case came.
    pub(crate) fn phase(&self) -> Phase {
        if let Some(phase) = self.scheduler.as_ref().and_then(SchedulerRun::phase).filter(|_| !self.finished) {
            return phase;
        }
        match (self.seen.is_some(), self.started, self.ready, self.finished) {
            (_, _, _, true) => Phase::Finish,
            (_, _, true, false) => Phase::Run,
            (false, false, false, false) => Phase::Prepare,
            _ => Phase::Boot,
        }
    }

    /// The segments of a step that have ended.
    pub(crate) fn segments_of(&self, step: u32) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.iter().filter(move |segment| segment.step == step)
    }

    /// Workers step by step, for all steps that were gone through. Workers that should have run and have no report for a
    /// segment are left out: what they did is not known.
    pub(crate) fn worker_steps(&self) -> Vec<WorkerStep> {
        let mut all = Vec::new();
        for (step, planned) in (0u32..).zip(&self.planned) {
            let segments: Vec<&Segment<'_>> = self.segments_of(step).collect();
            if segments.len() == *planned {
                all.extend(workers_of(step, &segments));
            }
        }
        all
    }

    /// Whether any cgroup has a `cpu.max` in a step.
    pub(crate) fn limited(&self, step: u32) -> bool {
        let segments = self.case.plan.segments().enumerate().filter(|(_, (of, ..))| *of == step as usize);
        segments.filter_map(|(segment, _)| self.settings.get(segment)).any(Settings::limited)
    }

    /// Name of the cgroup that a worker is in during a segment.
    pub(crate) fn cgroup_at(&self, worker: u32, segment: u32) -> Option<&'a str> {
        let settings = self.settings.get(segment as usize).or(self.settings.last())?;
        let cgroup = settings.cgroup_of(worker)?;
        self.case.plan.cgroups.get(cgroup as usize).map(|cgroup| cgroup.name.as_str())
    }

    /// The place of a worker in a segment.
    pub(crate) fn place(&self, worker: u32, segment: u32) -> Place {
        Place {
            worker: Some(self.case.plan.worker_name(worker)),
            cgroup: self.cgroup_at(worker, segment).map(Into::into),
            step: self.segments.get(segment as usize).map(|segment| segment.step),
            ..Place::default()
        }
    }

    /// `cpu_spin/0 in cgroup a`.
    pub(crate) fn name(&self, worker: u32, segment: u32) -> String {
        let name = self.case.plan.worker_name(worker);
        match self.cgroup_at(worker, segment) {
            Some(cgroup) => format!("{name} in cgroup {cgroup}"),
            None => name,
        }
    }
}

fn workers_of(step: u32, segments: &[&Segment<'_>]) -> Vec<WorkerStep> {
    let mut workers: BTreeMap<u32, Option<WorkerStep>> = BTreeMap::new();
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for segment in segments {
        for expect in segment.expect.iter().filter(|expect| !expect.frozen) {
            *counts.entry(expect.worker).or_default() += 1;
            let worker = workers.entry(expect.worker).or_insert_with(|| Some(nothing_yet(step, expect.worker)));
            match (segment.reports.get(&expect.worker), worker.as_mut()) {
                (Some(report), Some(worker)) => add(worker, segment, expect, report),
                _ => *worker = None,
            }
        }
    }
    let whole = |worker: &WorkerStep| counts.get(&worker.worker) == Some(&segments.len());
    let known = workers.into_values().flatten();
    known.map(|worker| WorkerStep { whole: whole(&worker), ..worker }).collect()
}

fn nothing_yet(step: u32, worker: u32) -> WorkerStep {
    WorkerStep {
        worker,
        step,
        segment: 0,
        end: GuestNanos(0),
        whole: false,
        nanos: 0,
        iterations: 0,
        cpu_ns: 0,
        run_delay_ns: 0,
        allowed: CpuSet::default(),
        cpus: CpuSet::default(),
    }
}

fn add(worker: &mut WorkerStep, segment: &Segment<'_>, expect: &WorkerExpectation, report: &WorkerReport) {
    worker.segment = segment.number;
    worker.end = segment.end;
    worker.nanos = worker.nanos.saturating_add(segment.nanos());
    worker.iterations = worker.iterations.saturating_add(report.iterations);
    worker.cpu_ns = worker.cpu_ns.saturating_add(report.cpu_ns);
    worker.run_delay_ns = worker.run_delay_ns.saturating_add(report.run_delay_ns);
    worker.allowed = worker.allowed.union(&expect.cpus);
    worker.cpus = worker.cpus.union(&report.cpus);
}
