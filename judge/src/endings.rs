//! How a case ended, if not as it should: what the host saw of the machine, and what the guest said of itself.
//!
//! ```text
//! panic, hang, triple fault, reboot, power off, a dead worker      fail: the system under test
//! boot timeout, emulator, channel, host, guest failed, interrupted infrastructure: the harness or the host
//! ```

use crate::hung;
use crate::number::{count, nanos};
use crate::run::Run;
use crate::scheduler::SchedulerRun;
use ktstr_model::verdict::Place;
use ktstr_model::work::UPDATE_LOST;
use ktstr_model::{Cause, Finding, GuestNanos, Phase, Verdict};
use ktstr_recording::host::{EXIT_FAILED, EXIT_FINISHED, EXIT_NO_WINDOW};
use ktstr_recording::{Ending, HostEvent, Recording};

/// All findings about the ending, the ending itself first.
pub(crate) fn look(run: &Run<'_>, recording: &Recording) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ending(run, recording).into_iter().collect();
    findings.extend(guest_failures(run));
    findings.extend(dead_workers(run));
    findings.extend(host_failures(run, recording));
    findings.extend(channel_problems(run, recording));
    if let Some(damage) = &recording.damage {
        let known = findings.iter().any(|finding| finding.verdict.is_red());
        let explanation =
            if known { "what is said above is from before the damage" } else { "judged by what is before" };
        findings.push(infrastructure(run, Cause::Host, damage.to_string(), explanation));
    }
    // A case that was broken off has said the reason; only a whole one has to be complete.
    if findings.is_empty() {
        findings.extend(incomplete(run));
    }
    findings
}

fn ending(run: &Run<'_>, recording: &Recording) -> Option<Finding> {
    let Some(ending) = recording.ending() else {
        let failed = recording.host_events().any(|(_, event)| matches!(event, HostEvent::HostFailed { .. }));
        if failed || recording.damage.is_some() {
            return None;
        }
        let explanation = "whoever wrote it was stopped, or is still at work";
        return Some(infrastructure(run, Cause::Host, "the recording does not say how the machine ended", explanation));
    };
    let failed = |cause, measured: String, explanation: &str| Some(fail(run, cause, measured, explanation));
    let broken = |cause, measured: String, explanation: &str| Some(infrastructure(run, cause, measured, explanation));
    match ending {
        Ending::Guest { code } => guest_exit(run, *code),
        Ending::PowerOff if run.finished => None,
        Ending::PowerOff => failed(Cause::PowerOff, "the guest switched itself off before it was done".into(), ""),
        Ending::Reboot => failed(Cause::Reboot, "the guest restarted by itself".into(), ""),
        Ending::TripleFault => failed(
            Cause::TripleFault,
            "the guest ran into a triple fault".into(),
            "a CPU met a fault while it handled a double fault, as with broken page tables or a broken stack",
        ),
        Ending::Panic { message } => failed(Cause::Panic, format!("the kernel panicked: {message}"), ""),
        Ending::Hang { cpu_ms, cpus } => {
            let under = run.scheduler.as_ref().map(SchedulerRun::standing).unwrap_or_default();
            failed(
                Cause::Hang,
                format!("no heartbeat for {} of CPU time{under}", millis(*cpu_ms)),
                &hung::states(cpus, recording.dumps()),
            )
        }
        Ending::BootTimeout { cpu_ms } => broken(
            Cause::BootTimeout,
            format!("the guest did not come up in {} of CPU time", millis(*cpu_ms)),
            "run it again; if it stays so, see the console for how far the kernel came",
        ),
        Ending::EmulatorFailed { status, log } => {
            broken(Cause::Emulator, format!("the emulator ended by itself: {status}"), log.trim_end())
        }
        Ending::Interrupted { reason } => {
            broken(Cause::Interrupted, format!("cut off by {reason}"), "what was seen before is judged")
        }
    }
}

fn guest_exit(run: &Run<'_>, code: u8) -> Option<Finding> {
    let broken = |cause, measured: String, explanation: &str| Some(infrastructure(run, cause, measured, explanation));
    match code {
        EXIT_FINISHED if run.finished || run.broken_off => None,
        EXIT_FINISHED => broken(Cause::Channel, "the guest was done, but its last messages did not come".into(), ""),
        // It says why in an event, which has a finding of its own.
        EXIT_FAILED if !run.failures.is_empty() => None,
        EXIT_FAILED => broken(Cause::Guest, "the guest could not go on".into(), "it did not say why; see the console"),
        EXIT_NO_WINDOW => broken(
            Cause::Channel,
            "the guest cannot reach the window of memory that it shares with the host".into(),
            "see the console for why; the kernel needs /dev/mem (CONFIG_DEVMEM) and must let it be mapped (lockdown off)",
        ),
        other => broken(
            Cause::Guest,
            format!("the guest ended with exit code {other}"),
            "no guest program of this version does that; was it built from the same source?",
        ),
    }
}

fn guest_failures(run: &Run<'_>) -> Vec<Finding> {
    let failure = |(at, failure): &(GuestNanos, &ktstr_model::event::GuestFailure)| {
        let measured = format!("the guest failed to {}: {}", failure.doing, failure.problem);
        let finding = infrastructure(run, Cause::Guest, measured, "");
        Finding { place: Place { at: Some(*at), step: run.step, ..Place::default() }, ..finding }
    };
    run.failures.iter().map(failure).collect()
}

/// The first death; what follows is often its consequence.
fn dead_workers(run: &Run<'_>) -> Option<Finding> {
    let (at, worker, status) = *run.deaths.first()?;
    let segment = run.segments.len() as u32;
    let measured = format!("{} {}", run.name(worker, segment), died(status));
    let explanation = match run.deaths.len() {
        1 => "workers run until the test stops them".into(),
        more => format!("{} died in all", count(more as u64, "worker")),
    };
    let place = Place { at: Some(at), step: run.step, ..run.place(worker, segment) };
    Some(Finding { place, phase: Phase::Run, ..fail(run, Cause::WorkerDied, measured, &explanation) })
}

/// A wait status in words, wait(2).
fn died(status: i32) -> String {
    let (signal, code) = (status & 0x7f, status >> 8 & 0xff);
    match signal {
        0 if code == UPDATE_LOST => "found that an addition to its counter was lost".into(),
        0 => format!("ended by itself with exit code {code}"),
        signal => format!("was killed by signal {signal}{}", signal_name(signal)),
    }
}

/// ` (SIGSEGV)`; empty for one that says nothing.
pub(crate) fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL, as the OOM killer sends it)",
        11 => " (SIGSEGV)",
        _ => "",
    }
}

fn host_failures(run: &Run<'_>, recording: &Recording) -> Vec<Finding> {
    let failures = recording.host_events().filter_map(|(_, event)| match event {
        HostEvent::HostFailed { doing, problem } => {
            Some(infrastructure(run, Cause::Host, format!("the host failed to {doing}: {problem}"), ""))
        }
        _ => None,
    });
    failures.collect()
}

fn channel_problems(run: &Run<'_>, recording: &Recording) -> Option<Finding> {
    let problems: Vec<&String> = recording
        .host_events()
        .filter_map(|(_, event)| match event {
            HostEvent::ChannelProblem { problem, .. } => Some(problem),
            _ => None,
        })
        .collect();
    let first = problems.first()?;
    let explanation = match problems.len() {
        1 => String::new(),
        more => format!("the first of {}", count(more as u64, "problem")),
    };
    Some(infrastructure(run, Cause::Channel, format!("the guest's messages: {first}"), &explanation))
}

/// A guest that was done must have said everything.
fn incomplete(run: &Run<'_>) -> Option<Finding> {
    // Why it does not go on is for the checks of the scheduler to say.
    if run.broken_off {
        return None;
    }
    let planned = run.case.plan.segments().count();
    let expected = |segment: &crate::run::Segment<'_>| {
        segment.expect.iter().filter(|expect| !segment.reports.contains_key(&expect.worker)).count()
    };
    let missing: usize = run.segments.iter().map(expected).sum();
    let measured = if run.segments.len() < planned {
        format!("of {} only {} came", count(planned as u64, "hold"), run.segments.len())
    } else if missing > 0 {
        format!("{} of workers did not come", count(missing as u64, "report"))
    } else if run.strays > 0 {
        format!("{} of the guest do not fit the plan", count(run.strays, "message"))
    } else {
        return None;
    };
    let explanation = "the guest says that it is done; was it built from the same source?";
    Some(infrastructure(run, Cause::Channel, measured, explanation))
}

fn millis(ms: u64) -> String {
    nanos(ms.saturating_mul(1_000_000))
}

fn fail(run: &Run<'_>, cause: Cause, measured: String, explanation: &str) -> Finding {
    finding(run, Verdict::Fail, cause, measured, explanation)
}

fn infrastructure(run: &Run<'_>, cause: Cause, measured: impl Into<String>, explanation: &str) -> Finding {
    finding(run, Verdict::Infrastructure, cause, measured.into(), explanation)
}

/// A finding at the last moment that is known.
fn finding(run: &Run<'_>, verdict: Verdict, cause: Cause, measured: String, explanation: &str) -> Finding {
    let phase = run.phase();
    let step = run.step.filter(|_| phase == Phase::Run);
    Finding {
        verdict,
        cause,
        phase,
        check: None,
        measured,
        bound: String::new(),
        origin: None,
        place: Place { step, at: run.last, ..Place::default() },
        explanation: explanation.into(),
    }
}
