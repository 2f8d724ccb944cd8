//! The one root cause of what became of a scheduler.

use super::exit::{exits, KernelExit};
use super::{dump, output, verifier, SchedulerRun};
use crate::number::nanos;
use ktstr_model::scheduler::{Awaited, SchedulerOverdue};
use ktstr_model::{Cause, GuestNanos, Phase};

/// Exit status of a Rust program that has panicked.
const PANICKED: i32 = 101;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Why a scheduler is not what it should be.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    pub(super) phase: Phase,
    /// All in one line.
    pub(super) measured: String,
    pub(super) explanation: String,
    pub(super) cpu: Option<u32>,
    pub(super) at: Option<GuestNanos>,
    /// How long the kernel says that a task did not run, in nanoseconds, if that is the failure.
    pub(super) stalled: Option<u64>,
}

impl Failure {
    pub(super) fn new(cause: Cause, phase: Phase, measured: String, at: Option<GuestNanos>) -> Self {
        Self { cause, phase, measured, explanation: String::new(), cpu: None, at, stalled: None }
    }

    pub(super) fn is_stall(&self) -> bool {
        matches!(self.cause, Cause::Stall | Cause::StallBehindRt)
    }

    fn because(self, lines: impl IntoIterator<Item = String>) -> Self {
        Self { explanation: lines.into_iter().collect::<Vec<_>>().join("\n"), ..self }
    }
}

/// The failure, if there is one: that of its first life that has one.
pub(super) fn of(run: &SchedulerRun<'_>, broken_off: bool) -> Option<Failure> {
    let earlier = run.earlier.iter().find_map(|life| of_life(life, false));
    earlier.or_else(|| of_life(run, broken_off))
}

/// What comes first explains what follows from it.
fn of_life(run: &SchedulerRun<'_>, broken_off: bool) -> Option<Failure> {
    let exits = exits(run);
    let error = exits.iter().find(|exit| exit.is_error()).map(|exit| thrown_out(run, exit));
    let unregistered = || {
        let ours = |exit: &&KernelExit| run.signalled.is_some_and(|signalled| signalled <= exit.at);
        let exit = exits.iter().find(|exit| !exit.is_by_user() && !ours(exit) && !run.is_attached_after(exit.at))?;
        Some(unregistered(run, exit))
    };
    error
        .or_else(|| run.overdue.map(|(at, overdue)| late(run, at, overdue)))
        .or_else(|| ended(run))
        .or_else(unregistered)
        .or_else(|| broken_off.then(|| gone(run)))
}

/// The kernel has thrown it out.
fn thrown_out(run: &SchedulerRun<'_>, exit: &KernelExit) -> Failure {
    let begun = run.exit_begun(exit.at);
    let phase = match run.signalled {
        Some(signalled) if signalled <= begun => Phase::Detach,
        _ if exit.attached || run.attached_at().is_some_and(|attached| attached <= exit.at) => Phase::Run,
        _ => Phase::Attach,
    };
    let backtrace = || exit.backtrace.iter().map(|frame| format!("  {frame}"));
    let message = if exit.message.is_empty() { "the kernel gives no message" } else { &exit.message };
    match exit.cause() {
        Cause::Stall => stall(run, exit, phase, begun),
        Cause::BpfError => {
            let from = exit.program().map(|program| format!(" from {program}")).unwrap_or_default();
            let measured = format!("scx_bpf_error{from}: {message}");
            Failure::new(Cause::BpfError, phase, measured, Some(begun)).because(backtrace())
        }
        cause => {
            let measured = format!("{}: {message}", exit.reason);
            let culprit = exit.program().map(|program| format!("{program} was at work"));
            Failure::new(cause, phase, measured, Some(begun)).because(culprit.into_iter().chain(backtrace()))
        }
    }
}

/// The watchdog's message is `name[pid] failed to run for 5.200s`.
fn stall(run: &SchedulerRun<'_>, exit: &KernelExit, phase: Phase, begun: GuestNanos) -> Failure {
    let Some((task, time)) = exit.message.split_once(" failed to run for ") else {
        let measured = format!("stall: {}", exit.message);
        return Failure::new(Cause::Stall, phase, measured, Some(begun));
    };
    let name = task.rsplit_once('[').map_or(task, |(name, _)| name);
    let seconds = time.strip_suffix('s').and_then(|number| number.parse::<f64>().ok());
    let stalled = seconds.map(|seconds| (seconds * 1e9) as u64);
    let time = seconds.map_or(time.to_owned(), |seconds| format!("{seconds:.1} s"));
    let measured = format!("stall: {name} did not run for {time}");
    let traced = dump::find(run.dump.iter().map(|(_, line)| *line), task);
    let printed = || dump::find(run.output.iter().map(|(_, line)| line.text.as_str()), task);
    let Some(place) = traced.or_else(printed) else {
        let failure = Failure { stalled, ..Failure::new(Cause::Stall, phase, measured, Some(begun)) };
        return failure.because(["on which CPU is not known: there is no dump that shows the task".into()]);
    };
    let behind_rt = matches!(place.class, "rt_sched_class" | "dl_sched_class" | "stop_sched_class");
    let cause = if behind_rt { Cause::StallBehindRt } else { Cause::Stall };
    let current = place.current.rsplit_once('[').map_or(place.current, |(name, _)| name);
    let behind = match current {
        "" => String::new(),
        idle if idle.starts_with("swapper/") => ", which is idle".into(),
        other => format!(" behind {other}"),
    };
    let measured = format!("{measured} on CPU {}{behind}", place.cpu);
    let blame = behind_rt.then(|| {
        format!("{current} is of {}, before which no sched_ext task runs: it is not the scheduler's fault", place.class)
    });
    let lines = place.lines.iter().map(|line| format!("| {line}"));
    let failure = Failure::new(cause, phase, measured, Some(begun)).because(blame.into_iter().chain(lines));
    Failure { cpu: Some(place.cpu), stalled: stalled.filter(|_| !behind_rt), ..failure }
}

/// The guest waited in vain.
fn late(run: &SchedulerRun<'_>, at: GuestNanos, overdue: &SchedulerOverdue) -> Failure {
    let waited = nanos(overdue.waited.0);
    let state = run.states.last().map_or("?", |(_, state)| state.state.as_str());
    let (cause, phase, measured) = match (overdue.awaited, run.has_asked()) {
        (Awaited::Detach, _) => {
            let process = if overdue.process == '-' { "its process is gone" } else { "its process is still there" };
            let measured =
                format!("detach hang: {waited} after it was told to end sched_ext is {state}, and {process}");
            (Cause::DetachHang, Phase::Detach, measured)
        }
        (Awaited::Attach, true) => {
            let measured = format!("attach hang: after {waited} sched_ext is still {state}");
            (Cause::AttachHang, Phase::Attach, measured)
        }
        (Awaited::Attach, false) => {
            let measured = format!("load hang: after {waited} it has not asked the kernel to attach it");
            (Cause::LoadHang, Phase::Load, measured)
        }
    };
    let process = match overdue.process {
        'R' => "its process is running or runnable",
        'D' => "its process waits in the kernel and cannot be interrupted",
        '-' => "its process is gone",
        _ => "its process sleeps",
    };
    let stack = overdue.stack.iter().map(|frame| format!("  {frame}"));
    let lines = std::iter::once(process.to_owned()).chain(stack).chain(output::last_words(&run.output));
    Failure::new(cause, phase, measured, Some(at)).because(lines)
}

/// Its process ended, by itself or otherwise than it should.
fn ended(run: &SchedulerRun<'_>) -> Option<Failure> {
    let (at, status) = run.exited?;
    let asked = run.signalled.is_some_and(|signalled| signalled <= at);
    let (signal, code) = (status & 0x7f, status >> 8 & 0xff);
    if asked && (status == 0 || signal == SIGINT || signal == SIGTERM) {
        return None;
    }
    let phase = run.phase_at(at);
    let words = || output::last_words(&run.output);
    if let Some((at, message)) = output::panic(&run.output).filter(|_| code == PANICKED || signal != 0) {
        return Some(Failure::new(Cause::UserPanic, phase, format!("user panic at {message}"), Some(at)));
    }
    let attached = run.attached_at().is_some();
    if let Some(refusal) = verifier::refusal(&run.output).filter(|_| !attached) {
        let measured = format!("verifier: {}: {}", refusal.program, refusal.reason);
        let lines = refusal.lines.into_iter().map(|line| format!("| {line}"));
        return Some(Failure::new(Cause::Verifier, Phase::Verify, measured, Some(refusal.at)).because(lines));
    }
    let when = match (asked, attached) {
        (true, _) => "when it was told to end",
        (false, true) => "while it was attached",
        (false, false) => "before it was attached",
    };
    if signal != 0 {
        let measured =
            format!("signal: it was killed by signal {signal}{} {when}", crate::endings::signal_name(signal));
        return Some(Failure::new(Cause::Signal, phase, measured, Some(at)).because(words()));
    }
    let reason = output::reason(&run.output).map(|reason| format!(": {reason}")).unwrap_or_default();
    let by_itself = if asked { "" } else { " by itself" };
    let measured = format!("exit: it ended{by_itself} with exit code {code} {when}{reason}");
    Some(Failure::new(Cause::Exit, phase, measured, Some(at)).because(words()))
}

/// The kernel detached it without an error, and it did not come back.
fn unregistered(run: &SchedulerRun<'_>, exit: &KernelExit) -> Failure {
    let message = if exit.message.is_empty() { String::new() } else { format!(": {}", exit.message) };
    let measured = format!("unregistered: {}{message}", exit.reason);
    let phase = run.phase_at(exit.at);
    Failure::new(Cause::Unregistered, phase, measured, Some(exit.at)).because(output::last_words(&run.output))
}

/// The guest saw that it is not there any more, and nobody says why.
fn gone(run: &SchedulerRun<'_>) -> Failure {
    let (at, state) = run.states.last().map_or((None, "?"), |(at, state)| (Some(*at), state.state.as_str()));
    let measured = format!("unregistered: sched_ext is {state}, and the kernel's log does not say why");
    let phase = run.phase().unwrap_or(Phase::Load);
    Failure::new(Cause::Unregistered, phase, measured, at).because(output::last_words(&run.output))
}
