//! The scheduler under test: whether it stayed, and in which phase and by which cause it did not.
//!
//! ```text
//! events ──SchedulerRun──▶ what the kernel, the process and the guest say ──failure──▶ the one root cause
//! root cause ──look──▶ findings of scheduler_alive, no_stall, no_error_log
//! ```
//!
//! One failure has many signs: a task stalls, the kernel throws the scheduler out, its user part prints that and ends with an
//! exit code. The kernel's word counts most, then what the guest waited for in vain, then how the process ended.

mod dump;
mod exit;
mod failure;
mod output;
mod verifier;

use crate::number::{count, nanos};
use crate::run::Run;
use crate::steal;
use failure::Failure;
use ktstr_model::scheduler::{KernelLine, OutputLine, SchedExtState, SchedulerOverdue};
use ktstr_model::verdict::Place;
use ktstr_model::{Bound, Cause, Check, Event, Finding, GuestNanos, Phase, SchedulerPlan, Verdict, What};

/// What is known of the scheduler, since its last start.
#[derive(Debug)]
pub(crate) struct SchedulerRun<'a> {
    plan: &'a SchedulerPlan,
    /// What was known of it before each of its further starts, for which it was told to end.
    earlier: Vec<SchedulerRun<'a>>,
    /// Whether the scenario went on after it was told to end, and had ended.
    left_behind: bool,
    started: Option<GuestNanos>,
    /// What the kernel showed, each with the time from which on.
    states: Vec<(GuestNanos, &'a SchedExtState)>,
    output: Vec<(GuestNanos, &'a OutputLine)>,
    log: Vec<(GuestNanos, &'a KernelLine)>,
    /// Lines of the kernel's dump.
    dump: Vec<(GuestNanos, &'a str)>,
    /// When it was told to end, first.
    signalled: Option<GuestNanos>,
    exited: Option<(GuestNanos, i32)>,
    overdue: Option<(GuestNanos, &'a SchedulerOverdue)>,
}

impl<'a> SchedulerRun<'a> {
    pub(crate) fn new(plan: &'a SchedulerPlan) -> Self {
        Self {
            plan,
            earlier: Vec::new(),
            left_behind: false,
            started: None,
            states: Vec::new(),
            output: Vec::new(),
            log: Vec::new(),
            dump: Vec::new(),
            signalled: None,
            exited: None,
            overdue: None,
        }
    }

    /// The scenario goes on: one that was told to end, and has ended, was not told so for the end of the test.
    pub(crate) fn go_on(&mut self) {
        self.left_behind = self.signalled.is_some() && self.exited.is_some();
    }

    /// All its lives, in order.
    fn lives(&self) -> impl Iterator<Item = &Self> {
        self.earlier.iter().chain([self])
    }

    fn begin_again(&mut self) {
        let mut last = std::mem::replace(self, Self::new(self.plan));
        self.earlier = std::mem::take(&mut last.earlier);
        self.earlier.push(last);
    }

    /// Takes an event that is about it; whether it fits what came before.
    pub(crate) fn take(&mut self, event: &'a Event) -> bool {
        let at = event.at;
        match &event.what {
            What::SchedulerStarted { .. } => {
                if self.signalled.is_some() && self.exited.is_some() {
                    self.begin_again();
                }
                return self.started.replace(at).is_none();
            }
            What::SchedulerCommand { .. } => {}
            What::SchedExt(state) => self.states.push((at, state)),
            What::SchedulerOutput(line) => self.output.push((at, line)),
            What::KernelLog(line) => self.log.push((at, line)),
            What::SchedExtDump { line } => self.dump.push((at, line)),
            What::SchedulerSignalled { .. } => drop(self.signalled.get_or_insert(at)),
            What::SchedulerExited { status } => return self.exited.replace((at, *status)).is_none(),
            What::SchedulerOverdue(overdue) => drop(self.overdue.get_or_insert((at, overdue))),
            _ => return false,
        }
        true
    }

    /// Where in its life it is at the end of the recording; none: it was not started.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.started?;
        if self.left_behind {
            return Some(Phase::Run);
        }
        Some(match (self.signalled, self.attached_at()) {
            (Some(_), Some(_)) => Phase::Detach,
            (None, Some(_)) => Phase::Run,
            _ if self.has_asked() => Phase::Attach,
            _ => Phase::Load,
        })
    }

    /// How it stood with it at the end of a recording that breaks off: `, with mine attached`. Empty if it has nothing to do with what the
    /// kernel does.
    pub(crate) fn standing(&self) -> String {
        let name = &self.plan.name;
        match self.states.last().map(|(_, state)| state.state.as_str()) {
            Some("enabled") => format!(", with {name} attached"),
            Some("enabling") => format!(", while {name} was being attached"),
            Some("disabling") => format!(", while {name} was being detached"),
            _ => String::new(),
        }
    }

    /// When the kernel said first that it is attached.
    fn attached_at(&self) -> Option<GuestNanos> {
        let shown = self.states.iter().find(|(_, state)| state.state == "enabled").map(|(at, _)| *at);
        let logged = self.log.iter().find(|(_, line)| exit::says_enabled(&line.text)).map(|(at, _)| *at);
        shown.into_iter().chain(logged).min()
    }

    /// Whether it has asked the kernel to attach it.
    fn has_asked(&self) -> bool {
        self.states.iter().any(|(_, state)| state.state != "disabled")
            || self.log.iter().any(|(_, line)| line.text.contains("BPF scheduler \""))
    }

    /// When the kernel began to throw it out, of which it has told in its log at `told`: it dumps and detaches before it does that, which
    /// may take a second and more.
    fn exit_begun(&self, told: GuestNanos) -> GuestNanos {
        let disabling = self.states.iter().filter(|(_, state)| state.state == "disabling").map(|(at, _)| *at);
        let dumped = self.dump.iter().filter(|(_, line)| line.contains(" triggered exit kind ")).map(|(at, _)| *at);
        let last = |times: &mut dyn Iterator<Item = GuestNanos>| times.filter(|at| *at <= told).last();
        [last(&mut disabling.into_iter()), last(&mut dumped.into_iter())].into_iter().flatten().min().unwrap_or(told)
    }

    /// Whether the kernel said after `at` that a scheduler is attached.
    fn is_attached_after(&self, at: GuestNanos) -> bool {
        self.states.iter().any(|(later, state)| *later > at && state.state == "enabled")
    }
}

/// The finding of one of the checks about schedulers.
pub(crate) fn look(run: &Run<'_>, check: &Check) -> Finding {
    let bound = match check.bound {
        Bound::NoStall => "no task may stall",
        Bound::NoErrorLog => "no error may be printed",
        _ => "it must stay attached until it is told to end",
    };
    let finding = |verdict, cause, measured: String| Finding {
        verdict,
        cause,
        phase: Phase::Run,
        check: Some(check.bound.name().into()),
        measured,
        bound: bound.into(),
        origin: Some(check.origin),
        place: Place::default(),
        explanation: String::new(),
    };
    let nothing = |why: &str| finding(Verdict::Unknown, Cause::NothingToJudge, format!("nothing to judge: {why}"));
    let passed = |measured: String| finding(Verdict::Pass, Cause::Check, measured);
    let Some(scheduler) = &run.scheduler else { return nothing("the case has no scheduler under test") };
    let failure = failure::of(scheduler, run.broken_off);
    match (&check.bound, failure) {
        (Bound::NoErrorLog, Some(_)) => nothing("the scheduler failed"),
        (Bound::NoStall, Some(failure)) if !failure.is_stall() => nothing("the scheduler failed otherwise"),
        (_, Some(failure)) => failed(run, finding(Verdict::Fail, failure.cause, failure.measured.clone()), failure),
        (_, None) if scheduler.attached_at().is_none() => nothing("the scheduler was not attached"),
        (Bound::NoErrorLog, None) => {
            match scheduler.lives().find_map(|life| Some((life, output::first_error(&life.output)?))) {
                Some((life, (at, text))) => {
                    let phase = life.phase_at(at);
                    let failure = Failure::new(Cause::ErrorLog, phase, format!("error log: {text}"), Some(at));
                    failed(run, finding(Verdict::Fail, Cause::ErrorLog, failure.measured.clone()), failure)
                }
                None => {
                    let lines: usize = scheduler.lives().map(|life| life.output.len()).sum();
                    passed(format!("no error in {}", count(lines as u64, "line")))
                }
            }
        }
        (Bound::NoStall, None) => passed("no stall".into()),
        (_, None) => passed(scheduler.lifetime()),
    }
}

fn failed(run: &Run<'_>, finding: Finding, failure: Failure) -> Finding {
    // A further start belongs to a step.
    let again = run.scheduler.as_ref().is_some_and(|scheduler| !scheduler.earlier.is_empty());
    let step = run.step.filter(|_| failure.phase == Phase::Run || again && failure.phase != Phase::Detach);
    let place = Place { cpu: failure.cpu, step, at: failure.at, ..Place::default() };
    // The line says all: that it must not be needs no saying.
    let bound = String::new();
    let finding = Finding { bound, phase: failure.phase, place, explanation: failure.explanation, ..finding };
    // The watchdog's time is no longer than the stall's.
    steal::excuse(run, finding, failure.stalled)
}

/// A stall ends the scheduler, too: said once if both checks say it.
pub(crate) fn say_once(findings: &mut Vec<Finding>) {
    let is = |finding: &Finding, check: Bound| {
        let failed = matches!(finding.verdict, Verdict::Fail | Verdict::Infrastructure);
        failed && finding.check.as_deref() == Some(check.name())
    };
    if findings.iter().any(|finding| is(finding, Bound::NoStall)) {
        findings.retain(|finding| !is(finding, Bound::SchedulerAlive));
    }
}

impl SchedulerRun<'_> {
    /// Where in its life it was at a time.
    fn phase_at(&self, at: GuestNanos) -> Phase {
        let attached = self.attached_at().is_some_and(|attached| attached <= at);
        match self.signalled {
            Some(signalled) if signalled < at => Phase::Detach,
            _ if attached => Phase::Run,
            _ if self.has_asked() => Phase::Attach,
            _ => Phase::Load,
        }
    }

    /// `scx_mine attached in 1.2s, detached in 30ms, attached in 1.1s, detached in 31ms`.
    fn lifetime(&self) -> String {
        let since = |from: Option<GuestNanos>, to: Option<GuestNanos>| Some(nanos(to?.0.saturating_sub(from?.0)));
        let told = self.lives().flat_map(|life| {
            let attached = since(life.started, life.attached_at()).map(|time| format!("attached in {time}"));
            let gone = life.exited.map(|(at, _)| at);
            [attached, since(life.signalled, gone).map(|time| format!("detached in {time}"))]
        });
        format!("{} {}", self.plan.name, told.flatten().collect::<Vec<_>>().join(", "))
    }
}
