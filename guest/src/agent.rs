//! Carries out a plan: the scheduler under test is attached, then actions one after another, then the hold that closes each round
//! of them, and a report of each worker.

use crate::cgroups::Cgroups;
use crate::seed::{self, START_NS};
use crate::sys::{cpu_time, entropy, process};
use crate::telemetry::{report, word_before, word_running, Segment};
use crate::trace::Trace;
use crate::under_test::UnderTest;
use crate::workers::{Worker, Workers};
use crate::{faults, procfs};
use ktstr_init::clock;
use ktstr_init::controllers;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use ktstr_model::event::WorkerReport;
use ktstr_model::plan::Action;
use ktstr_model::{Nanos, Plan, What};
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Above every worker.
const AGENT_PRIORITY: u8 = 99;
/// Guest time in which a cgroup has to freeze or thaw, or to be empty.
const CGROUP_NS_MAX: u64 = 10_000_000_000;
/// Guest time in which the host has to do an op: it looks every 10 s at the latest.
const HOST_NS_MAX: u64 = 30_000_000_000;
/// Between two looks whether it has.
const POLL_NS: u64 = 500_000;

/// Carries out `plan` and sends everything up to [`What::Finished`].
///
/// # Errors
/// The first thing that could not be done.
pub fn run(plan: &Plan, reporter: &mut Reporter) -> Result<(), GuestError> {
    come_first()?;
    go_on(plan, UnderTest::default(), reporter)
}

/// Gets a CPU whenever it wants one, whoever else does.
pub(crate) fn come_first() -> Result<(), GuestError> {
    process::become_fifo(AGENT_PRIORITY).doing(|| format!("take SCHED_FIFO {AGENT_PRIORITY}"))
}

/// Carries out `plan`; what is `under_test` may be there already.
pub(crate) fn go_on(plan: &Plan, under_test: UnderTest, reporter: &mut Reporter) -> Result<(), GuestError> {
    let cgroups = Cgroups::new(Path::new(controllers::MOUNT), &plan.cgroups)?;
    let workers = Workers::new(plan)?;
    let mut agent = Agent { plan, cgroups, workers, segment: 0, under_test, reporter };
    agent.workers.board.segment.store(word_before(0), Ordering::SeqCst);
    let carried_out = agent.carry_out();
    // What a scheduler has said goes to the host whatever keeps the agent from going on.
    carried_out.and(agent.look().map(drop))?;
    let end = if agent.under_test.is_gone() { What::BrokenOff } else { What::Finished };
    agent.reporter.send(end)
}

struct Agent<'a> {
    plan: &'a Plan,
    cgroups: Cgroups,
    workers: Workers,
    /// Number of the next segment.
    segment: u32,
    under_test: UnderTest,
    reporter: &'a mut Reporter,
}

impl Agent<'_> {
    /// All of the plan, or what can be done of it: without the scheduler under test there is nothing to go on with.
    fn carry_out(&mut self) -> Result<(), GuestError> {
        let plan = self.plan;
        // The seed comes after it: an attached machine is the same for all seeds. The trace, too, whose buffers are for the steps.
        let traced = !plan.trace.is_empty();
        match &plan.scheduler {
            Some(_) if self.under_test.was_started() => self.under_test.is_traced(traced)?,
            Some(scheduler) => self.under_test.attach(scheduler, traced, &mut self.workers, self.reporter)?,
            None => {}
        }
        let trace = Trace::start(plan)?;
        entropy::mix(&seed::entropy(plan.seed)).doing(|| "mix the seed into the kernel's random numbers".into())?;
        if !self.under_test.is_gone() {
            self.reporter.wait_until(clock::now() + seed::phase(plan.seed));
            self.reporter.send(What::Ready)?;
            self.steps()?;
        }
        if self.under_test.is_gone() {
            return self.under_test.settle(&mut self.workers, self.reporter);
        }
        if let Some(trace) = trace {
            trace.finish(|pid| self.workers.worker_of(pid), self.reporter)?;
        }
        self.under_test.detach(&mut self.workers, self.reporter)
    }

    fn steps(&mut self) -> Result<(), GuestError> {
        let plan = self.plan;
        for (step, actions) in (0..).zip(&plan.steps) {
            self.reporter.send(What::StepStarted { step })?;
            for action in &actions.actions {
                self.apply(action)?;
                self.reporter.beat();
                if self.under_test.is_gone() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Looks who has died and what the scheduler says; whether the plan can go on.
    fn look(&mut self) -> Result<bool, GuestError> {
        self.workers.reap(self.reporter)?;
        self.under_test.look(&mut self.workers, self.reporter)?;
        Ok(!self.under_test.is_gone())
    }

    fn apply(&mut self, action: &Action) -> Result<(), GuestError> {
        match action {
            Action::CreateCgroup(index) => self.create_cgroup(*index),
            Action::RemoveCgroup(index) => self.remove_cgroup(*index),
            Action::Start(group) => self.workers.start(self.plan, *group, &self.cgroups, self.reporter),
            Action::Stop(cgroup) => self.workers.stop(*cgroup, self.plan, self.reporter),
            Action::SetCpuset { cgroup, cpus } => self.cgroups.set_cpus(*cgroup, cpus),
            Action::SetWeight { cgroup, weight } => self.cgroups.set_weight(*cgroup, *weight),
            Action::SetCpuMax { cgroup, cpu_max } => self.cgroups.set_cpu_max(*cgroup, *cpu_max),
            Action::MoveTasks { from, to } => self.workers.move_tasks(*from, *to, &self.cgroups),
            Action::Freeze { cgroup, frozen } => self.freeze(*cgroup, *frozen),
            Action::SetOnline { cpu, online } => set_online(*cpu, *online),
            Action::Fault(fault) => faults::cause(*fault, &mut self.workers, self.reporter),
            Action::Hold { duration, .. } => self.hold(*duration),
            Action::StopScheduler => self.under_test.stop(&mut self.workers, self.reporter),
            Action::StartScheduler { args } => {
                self.under_test.start_again(args.as_deref(), &mut self.workers, self.reporter)
            }
            Action::Host { op } => self.host_op(*op),
            Action::SchedulerCommand { args } => self.under_test.command(args, &mut self.workers, self.reporter),
        }
    }

    fn create_cgroup(&mut self, index: u32) -> Result<(), GuestError> {
        let plan = self.plan.cgroups.get(index as usize);
        let missing = || GuestError::new(format!("create cgroup number {index}"), "the plan has no such cgroup");
        self.cgroups.create(index, plan.ok_or_else(missing)?)
    }

    fn remove_cgroup(&mut self, index: u32) -> Result<(), GuestError> {
        self.workers.stop(index, self.plan, self.reporter)?;
        let doing = format!("remove cgroup {}", self.cgroups.name(index));
        self.wait_for(&doing, "it is still in use", CGROUP_NS_MAX, |agent| agent.cgroups.try_remove(index))
    }

    fn freeze(&mut self, index: u32, frozen: bool) -> Result<(), GuestError> {
        self.cgroups.set_frozen(index, frozen)?;
        let verb = if frozen { "freeze" } else { "thaw" };
        let doing = format!("{verb} cgroup {}", self.cgroups.name(index));
        let problem = format!(
            "cgroup.events does not say `frozen {}`; a worker that gets no CPU cannot freeze",
            u8::from(frozen)
        );
        self.wait_for(&doing, &problem, CGROUP_NS_MAX, |agent| Ok(agent.cgroups.is_frozen(index)? == frozen))
    }

    /// What the host does then, it records itself.
    fn host_op(&mut self, op: u32) -> Result<(), GuestError> {
        self.reporter.send(What::HostOp { op })?;
        let count = u64::from(op) + 1;
        self.reporter.want_ops(count);
        let doing = format!("wait for op {op} of the host");
        self.wait_for(&doing, "it is not done", HOST_NS_MAX, |agent| Ok(agent.reporter.ops_done() >= count))
    }

    fn wait_for(
        &mut self,
        doing: &str,
        problem: &str,
        longest: u64,
        mut done: impl FnMut(&mut Self) -> Result<bool, GuestError>,
    ) -> Result<(), GuestError> {
        let deadline = clock::now() + longest;
        while !done(self)? {
            if clock::now() > deadline {
                return Err(GuestError::new(doing, format!("after {} {problem}", Nanos(longest))));
            }
            if !self.look()? {
                break;
            }
            self.reporter.wait_until(clock::now() + POLL_NS);
        }
        Ok(())
    }

    /// One segment.
    fn hold(&mut self, duration: Nanos) -> Result<(), GuestError> {
        let number = self.segment;
        self.note_run_delays()?;
        if self.workers.release() {
            // Workers that have just been let loose wait for their start offsets. The segment begins when all are in their
            // loops: otherwise the seed would decide whether one that is to be starved gets a moment of its own first.
            self.reporter.wait_until(clock::now() + START_NS);
        }
        let board = self.workers.board;
        let start = clock::now();
        board.segment_start.store(start, Ordering::SeqCst);
        board.segment.store(word_running(number), Ordering::SeqCst);
        self.reporter.send_at(start, What::SegmentStarted { segment: number })?;
        self.note_cpu_times()?;

        if !self.run_until(start.saturating_add(duration.0))? {
            return Ok(());
        }

        let end = clock::now();
        board.segment.store(word_before(number + 1), Ordering::SeqCst);
        self.reporter.send_at(end, What::SegmentEnded { segment: number })?;
        // A worker that has died is not asked.
        self.workers.reap(self.reporter)?;
        self.send_reports(Segment { number, start, end })?;
        self.segment = number + 1;
        Ok(())
    }

    /// Sleeps, with a heartbeat and a look at who has died; false: the plan cannot go on.
    fn run_until(&mut self, deadline: u64) -> Result<bool, GuestError> {
        while clock::now() < deadline {
            if !self.look()? {
                return Ok(false);
            }
            self.reporter.nap(deadline);
        }
        Ok(true)
    }

    /// Remembers what the workers have used so far. Their clocks are read in one go after the start of the segment, and
    /// again in the same order after its end, so that all are measured over the same time.
    fn note_cpu_times(&mut self) -> Result<(), GuestError> {
        for (_, worker) in self.workers.alive() {
            worker.cpu_ns = cpu_time(worker)?;
            self.reporter.beat();
        }
        Ok(())
    }

    /// Remembers how long the workers have waited so far: before the segment, since it takes longer than a clock.
    fn note_run_delays(&mut self) -> Result<(), GuestError> {
        for (_, worker) in self.workers.alive() {
            worker.run_delay_ns = procfs::run_delay(worker.pid)?;
            self.reporter.beat();
        }
        Ok(())
    }

    fn send_reports(&mut self, segment: Segment) -> Result<(), GuestError> {
        let mut used = Vec::new();
        for (id, worker) in self.workers.alive() {
            used.push((id, *worker, cpu_time(worker)?.saturating_sub(worker.cpu_ns)));
        }
        let mut reports = Vec::with_capacity(used.len());
        for (id, worker, cpu_ns) in used {
            let run_delay_ns = run_delay(&worker, cpu_ns, segment)?;
            let Some(slot) = self.workers.slot(id) else { continue };
            let cpu_now = || procfs::stat(worker.pid).map_or(0, |stat| stat.cpu);
            reports.push(WorkerReport { cpu_ns, run_delay_ns, ..report(slot, id, segment, cpu_now) });
            self.reporter.beat();
        }
        for report in reports {
            self.reporter.send_at(segment.end, What::Worker(report))?;
        }
        Ok(())
    }
}

/// Time in `segment` in which a worker was runnable and did not run. The kernel counts a wait when it ends: what lies before
/// the segment is cut off, and the wait of a worker that is runnable and has not run at all is the whole segment.
fn run_delay(worker: &Worker, cpu_ns: u64, segment: Segment) -> Result<u64, GuestError> {
    let length = segment.end - segment.start;
    if cpu_ns == 0 && procfs::stat(worker.pid)?.state == 'R' {
        return Ok(length);
    }
    Ok(procfs::run_delay(worker.pid)?.saturating_sub(worker.run_delay_ns).min(length))
}

fn cpu_time(worker: &Worker) -> Result<u64, GuestError> {
    cpu_time::cpu_time_of(worker.pid).doing(|| format!("read the CPU time of process {}", worker.pid.as_raw_nonzero()))
}

fn set_online(cpu: u32, online: bool) -> Result<(), GuestError> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
    let verb = if online { "on" } else { "off" };
    fs::write(&path, if online { "1" } else { "0" }).doing(|| format!("take CPU {cpu} {verb} line ({path})"))
}
