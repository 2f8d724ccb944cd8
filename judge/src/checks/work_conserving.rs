//! `work_conserving`: no CPU is idle for longer than the bound while a task that may run there waits, be it in another queue or in its own.
//!
//! Nothing is guessed: how idle times and waits are known, `idle` and `waits` say.

use super::{Judged, Outcome};
use crate::idle::{self, Idle};
use crate::number::{count, nanos};
use crate::rows::UNREAD;
use crate::run::Run;
use crate::waits::{Wait, Waits};
use ktstr_model::verdict::Place;
use ktstr_model::{GuestNanos, Nanos, Topology};
use std::collections::BTreeMap;

pub(super) fn bound(bound: Nanos) -> String {
    format!("no CPU idle for over {} while a task waits for it", nanos(bound.0))
}

/// Idle while there was something to do.
struct Waste<'a> {
    step: u32,
    idle: Idle,
    /// Who waited; none: a task in its own queue.
    wait: Option<Wait<'a>>,
    nanos: u64,
}

pub(super) fn judge(run: &Run<'_>, bound: Nanos) -> Outcome {
    if run.samples.is_empty() {
        return run.samples.nothing(run.case).into();
    }
    let all = || run.samples.steps.iter().flat_map(|step| &step.samples);
    if all().all(|(_, sample)| sample.cpus.iter().all(|cpu| cpu.runs == 0)) {
        return run.samples.lacks("rq_sched_info").into();
    }
    if all().all(|(_, sample)| sample.unread > 0) {
        return Outcome::Nothing(UNREAD.into());
    }
    let mut wastes = Vec::new();
    let mut looks = 0;
    for step in &run.samples.steps {
        let waits = Waits::of(step);
        looks += waits.looks;
        let idles = idle::times(step);
        let own = |idle: Idle| Waste { step: step.step, idle, wait: None, nanos: idle.nanos() };
        wastes.extend(idle::with_work(step).filter(|idle| idle.nanos() > 0).map(own));
        let limited = run.limited(step.step);
        // Where CPU time is limited, a task may have been held between two looks.
        let free = waits.all.into_iter().filter(|wait| wait.held.is_none() && (wait.task.is_kernel || !limited));
        // What an op has changed does not hold for the time before it.
        let known = free.filter_map(|wait| Some(Wait { from: wait.from.max(step.held_since(wait.to)?), ..wait }));
        wastes.extend(known.filter_map(|wait| worst_of(step.step, wait, &idles)));
    }
    let number = wastes.iter().filter(|waste| waste.nanos > bound.0).count();
    if looks == 0 && number == 0 {
        return Outcome::Nothing(run.samples.why_no_look("no sample that looks at tasks was taken in a hold"));
    }
    let Some(worst) = wastes.into_iter().reduce(|worst, next| if next.nanos > worst.nanos { next } else { worst })
    else {
        let measured = "no CPU was seen idle while a task waited for it".into();
        return Outcome::Judged(Judged { within: true, measured, ..Judged::default() });
    };
    let more = if number > 1 { format!("\n{} in all", count(number as u64, "such time")) } else { String::new() };
    let to = worst.wait.map_or(worst.idle.to, |wait| wait.to.min(worst.idle.to));
    Outcome::Judged(Judged {
        within: worst.nanos <= bound.0,
        measured: say(&run.case.topology, &worst),
        place: Place {
            cpu: Some(worst.idle.cpu),
            step: Some(worst.step),
            at: Some(GuestNanos(to)),
            ..Place::default()
        },
        explanation: match worst.wait {
            Some(wait) => format!(
                "the task may run on CPUs {} and waited {} in all{more}",
                wait.task.allowed,
                nanos(wait.nanos())
            ),
            None => format!("nobody had told it that there is work, or it did not look{more}"),
        },
        hold_off: Some(bound.0),
    })
}

fn say(topology: &Topology, waste: &Waste<'_>) -> String {
    let (cpu, time) = (waste.idle.cpu, nanos(waste.nanos));
    let Some(wait) = waste.wait else {
        return format!("CPU {cpu} was idle for {time} with {} in its own queue", count(waste.idle.own.into(), "task"));
    };
    let other = wait.task.cpu;
    let llc = |cpu| (0..topology.llcs()).find(|llc| topology.llc_cpus(*llc).contains(cpu));
    let place = match () {
        () if other == cpu => "there".into(),
        () if llc(other) == llc(cpu) => format!("on CPU {other} of the same LLC"),
        () => format!("on CPU {other} of another LLC"),
    };
    format!("CPU {cpu} was idle for {time} while {} waited {place}", wait.name())
}

/// The idle time that a wait has the most of.
fn worst_of<'a>(step: u32, wait: Wait<'a>, idles: &BTreeMap<u32, Vec<Idle>>) -> Option<Waste<'a>> {
    let both = |idle: &Idle| wait.to.min(idle.to).saturating_sub(wait.from.max(idle.from));
    let may = idles.iter().filter(|(cpu, _)| wait.task.allowed.contains(**cpu));
    let near = may.flat_map(|(_, idles)| {
        let after = idles.iter().skip(idles.partition_point(|idle| idle.to <= wait.from));
        after.take_while(|idle| idle.from < wait.to)
    });
    let idle = near.copied().reduce(|worst, next| if both(&next) > both(&worst) { next } else { worst })?;
    Some(Waste { step, idle, wait: Some(wait), nanos: both(&idle) })
}
