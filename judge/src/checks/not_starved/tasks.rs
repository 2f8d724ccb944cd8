//! Every task of the guest, kernel threads too: whether one waited for a CPU for longer than the load of the case is a reason for.

use crate::number::{count, nanos};
use crate::patience::Patience;
use crate::run::Run;
use crate::samples::StepSamples;
use crate::waits::{Wait, Waits};
use ktstr_model::verdict::Place;
use ktstr_model::GuestNanos;
use std::collections::BTreeMap;

/// Tasks that are named in an explanation.
const NAMED: usize = 3;

/// What was seen of all tasks.
#[derive(Default)]
pub(super) struct Tasks {
    /// The one that waited longest of those that starved.
    pub(super) starved: Option<Starved>,
    /// What there is to say otherwise; empty if the host was not to look.
    pub(super) said: String,
    /// Whether tasks were looked at.
    pub(super) seen: bool,
}

/// A task that waited for too long.
pub(super) struct Starved {
    pub(super) measured: String,
    pub(super) place: Place,
    pub(super) explanation: String,
    /// How long it was allowed to wait, in nanoseconds.
    pub(super) limit: u64,
}

pub(super) fn look(run: &Run<'_>) -> Tasks {
    if run.case.monitor.is_none() {
        return Tasks::default();
    }
    let patience = Patience::of(run);
    let (mut longest, mut held): (Option<Wait<'_>>, Option<Wait<'_>>) = (None, None);
    let mut starved = Vec::new();
    let mut looks = 0;
    // Why a step did not come to its end, another finding says: a stall, a hang. That tasks wait then is what comes of it.
    for step in run.samples.steps.iter().filter(|step| step.has_ended) {
        let waits = Waits::of(step);
        looks += waits.looks;
        for wait in waits.all {
            let limit = patience.limit(wait.task).filter(|limit| wait.nanos() > *limit);
            let worst = if wait.held.is_some() { &mut held } else { &mut longest };
            if worst.is_none_or(|worst| wait.nanos() > worst.nanos()) && (wait.held.is_none() || limit.is_some()) {
                *worst = Some(wait);
            }
            starved.extend(limit.filter(|_| wait.held.is_none()).map(|limit| (step, wait, limit)));
        }
    }
    if looks == 0 && starved.is_empty() {
        let why = match run.samples.is_empty() {
            true => run.samples.why_none(run.case),
            false => run.samples.why_no_look("no hold was long enough"),
        };
        return Tasks { said: format!("; other tasks were not looked at: {why}"), ..Tasks::default() };
    }
    let mut said = match longest {
        Some(wait) => format!("; no task waited longer than {}", nanos(wait.nanos())),
        None => "; no task was seen waiting for a CPU".into(),
    };
    if let Some((wait, why)) = held.and_then(|wait| Some((wait, wait.held?))) {
        said += &format!("; {} waited {}, since {why}", wait.name(), nanos(wait.nanos()));
    }
    said += &run.samples.stopped().map(|why| format!("; {why}")).unwrap_or_default();
    let number = starved.len();
    let worst = starved.into_iter().max_by_key(|(_, wait, _)| wait.nanos());
    Tasks { starved: worst.map(|worst| describe(worst, number)), said, seen: true }
}

fn describe((step, wait, limit): (&StepSamples<'_>, Wait<'_>, u64), number: usize) -> Starved {
    let cpu = wait.task.cpu;
    let mut lines = vec![
        format!("it may run on CPUs {}; with this load it may wait for {}", wait.task.allowed, nanos(limit)),
        format!("CPU {cpu} meanwhile: {}", who_ran(step, cpu, wait.from, wait.to)),
    ];
    if number > 1 {
        lines.push(format!("{} starved in all, counted in each step", count(number as u64, "task")));
    }
    Starved {
        measured: format!("{} waited {} for a CPU", wait.name(), nanos(wait.nanos())),
        place: Place { cpu: Some(cpu), step: Some(step.step), at: Some(GuestNanos(wait.to)), ..Place::default() },
        explanation: lines.join("\n"),
        limit,
    }
}

/// `hog (pid 30) in 95 of 98 samples, idle in 3`.
fn who_ran(step: &StepSamples<'_>, cpu: u32, from: u64, to: u64) -> String {
    let mut ran: BTreeMap<(i32, &str), u64> = BTreeMap::new();
    let samples = step.samples.iter().filter(|(at, _)| (from..=to).contains(&at.0));
    let of_cpu = samples.filter_map(|(_, sample)| sample.cpus.iter().find(|of| of.cpu == cpu));
    of_cpu.for_each(|of| *ran.entry((of.curr, &of.comm)).or_default() += 1);
    let all: u64 = ran.values().sum();
    let mut ran: Vec<_> = ran.into_iter().collect();
    ran.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let name = |(pid, comm): (i32, &str)| if pid == 0 { "idle".into() } else { format!("{comm} (pid {pid})") };
    let named: Vec<String> = ran.iter().take(NAMED).map(|(who, times)| format!("{} in {times}", name(*who))).collect();
    match all {
        0 => "not seen".into(),
        all => format!("{} of {}", named.join(", "), count(all, "sample")),
    }
}
