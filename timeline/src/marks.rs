//! Steps, holds, what was done in between, and what else happened at one time.

use crate::timeline::{Mark, MarkKind};
use ktstr_model::host_op::HostOpResult;
use ktstr_model::plan::Action;
use ktstr_model::{CpuSet, Plan, What};
use ktstr_recording::{HostEvent, Recording};

/// In order of time; a step lasts until the next one, the last until `end`.
pub(crate) fn of(recording: &Recording, end: u64) -> Vec<Mark> {
    let plan = &recording.header.case.plan;
    let operations = operations(plan);
    let mut marks: Vec<Mark> = Vec::new();
    // When the operations before the next hold were begun, and whose hold that is.
    let (mut begun, mut next, mut last_step) = (None, 0, None);
    for event in recording.events() {
        let at = event.at.0;
        let mut mark = |kind, text: String| marks.push(Mark { at, until: None, kind, text });
        match &event.what {
            What::StepStarted { step } => {
                close(&mut marks, MarkKind::Step, at);
                marks.push(Mark { at, until: None, kind: MarkKind::Step, text: format!("step {step}") });
                (begun, last_step) = (Some(at), Some(*step as usize));
            }
            What::SegmentStarted { segment } => {
                mark(MarkKind::Hold, format!("hold {segment}"));
                next = *segment as usize + 1;
                let since = begun.take().unwrap_or(at);
                let texts = operations.get(*segment as usize).into_iter().flatten();
                marks.extend(texts.map(|text| Mark { at: since, until: None, kind: MarkKind::Op, text: text.clone() }));
            }
            What::SegmentEnded { .. } => {
                close(&mut marks, MarkKind::Hold, at);
                begun = Some(at);
            }
            What::WorkerDied { worker, status } => {
                mark(MarkKind::Problem, format!("{} died with wait status {status}", plan.worker_name(*worker)));
            }
            What::Failed(failure) => {
                mark(MarkKind::Problem, format!("the guest could not {}: {}", failure.doing, failure.problem));
            }
            What::BrokenOff => mark(MarkKind::Problem, "the guest does not go on".into()),
            What::SchedulerStarted { pid } => {
                mark(MarkKind::Scheduler, format!("the scheduler starts as process {pid}"))
            }
            What::SchedExt(state) => mark(MarkKind::Scheduler, format!("sched_ext is {}", state.state)),
            What::SchedulerSignalled { signal } => {
                mark(MarkKind::Scheduler, format!("the scheduler gets signal {signal}"))
            }
            What::SchedulerExited { status } => {
                mark(MarkKind::Scheduler, format!("the scheduler ends with wait status {status}"))
            }
            What::SchedulerOverdue(overdue) => {
                mark(MarkKind::Problem, format!("the scheduler is late after {}", overdue.waited))
            }
            _ => {}
        }
    }
    marks.extend(host_ops(recording));
    // Operations at which the guest did not come to an end.
    let of_step = plan.segments().nth(next).is_some_and(|(step, ..)| Some(step) == last_step);
    if let (Some(at), Some(texts), true) = (begun, operations.get(next), of_step) {
        let mark =
            |text: &String| Mark { at, until: None, kind: MarkKind::Op, text: format!("{text} (no word of its end)") };
        marks.extend(texts.iter().map(mark));
    }
    for kind in [MarkKind::Hold, MarkKind::Step] {
        close(&mut marks, kind, end);
    }
    marks.sort_by_key(|mark| (mark.at, mark.kind));
    marks
}

/// What the host did in the kernel's memory, and what came of it.
fn host_ops(recording: &Recording) -> impl Iterator<Item = Mark> + '_ {
    let ops = &recording.header.case.host_ops;
    recording.host_events().filter_map(|(_, event)| {
        let HostEvent::Op { op, at, result } = event else { return None };
        let text = match result {
            HostOpResult::Read(value) => format!("{}: {value}", ops.get(*op as usize)?),
            HostOpResult::Written => ops.get(*op as usize)?.to_string(),
            HostOpResult::Failed(problem) => format!("{}: {problem}", ops.get(*op as usize)?),
        };
        let kind = if matches!(result, HostOpResult::Failed(_)) { MarkKind::Problem } else { MarkKind::Op };
        Some(Mark { at: (*at)?.0, until: None, kind, text })
    })
}

/// The last mark of a kind lasts until `at`, unless it has an end.
fn close(marks: &mut [Mark], kind: MarkKind, at: u64) {
    if let Some(open) = marks.iter_mut().rev().find(|mark| mark.kind == kind).filter(|mark| mark.until.is_none()) {
        open.until = Some(at.max(open.at));
    }
}

/// What is done before each hold, in words.
fn operations(plan: &Plan) -> Vec<Vec<String>> {
    let (mut all, mut before) = (Vec::new(), Vec::new());
    for action in plan.steps.iter().flat_map(|step| &step.actions) {
        match action {
            Action::Hold { .. } => all.push(std::mem::take(&mut before)),
            other => before.extend(in_words(plan, other)),
        }
    }
    all.push(before);
    all
}

/// None of what has a time of its own.
fn in_words(plan: &Plan, action: &Action) -> Option<String> {
    let cgroup = |index: &u32| {
        plan.cgroups.get(*index as usize).map_or_else(|| format!("#{index}"), |cgroup| cgroup.name.clone())
    };
    let cpus = |cpus: &CpuSet| if cpus.is_empty() { "all CPUs".into() } else { format!("CPUs {cpus}") };
    Some(match action {
        Action::CreateCgroup(index) => format!("create cgroup {}", cgroup(index)),
        Action::RemoveCgroup(index) => format!("remove cgroup {}", cgroup(index)),
        Action::Start(group) => match plan.groups.get(*group as usize) {
            Some(group) => format!("start {} {} in {}", group.workers, group.work.name(), cgroup(&group.cgroup)),
            None => format!("start group {group}"),
        },
        Action::Stop(index) => format!("stop the workers in {}", cgroup(index)),
        Action::SetCpuset { cgroup: of, cpus: set } => format!("cpuset of {}: {}", cgroup(of), cpus(set)),
        Action::SetWeight { cgroup: of, weight } => format!("cpu.weight of {}: {weight}", cgroup(of)),
        Action::SetCpuMax { cgroup: of, cpu_max: None } => format!("no cpu.max of {}", cgroup(of)),
        Action::SetCpuMax { cgroup: of, cpu_max: Some(max) } => format!("cpu.max of {}: {max:?}", cgroup(of)),
        Action::MoveTasks { from, to } => format!("move the tasks of {} to {}", cgroup(from), cgroup(to)),
        Action::Freeze { cgroup: of, frozen: true } => format!("freeze {}", cgroup(of)),
        Action::Freeze { cgroup: of, frozen: false } => format!("thaw {}", cgroup(of)),
        Action::SetOnline { cpu, online: true } => format!("CPU {cpu} on line"),
        Action::SetOnline { cpu, online: false } => format!("CPU {cpu} off line"),
        Action::Fault(fault) => format!("fault: {fault:?}"),
        Action::Hold { duration, .. } => format!("hold {duration}"),
        Action::StopScheduler => "stop the scheduler".into(),
        Action::StartScheduler { args: None } => "start the scheduler".into(),
        Action::StartScheduler { args: Some(args) } => format!("start the scheduler with {}", args.join(" ")),
        Action::SchedulerCommand { args } => format!("run the scheduler's program with {}", args.join(" ")),
        Action::Host { .. } => return None,
    })
}
