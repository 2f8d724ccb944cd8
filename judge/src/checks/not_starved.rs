//! `not_starved`: every worker iterates at least once in every step in which it is expected to run, and no task of the guest waits for a CPU
//! for longer than the load of the case is a reason for.

mod tasks;

use super::{Judged, Outcome};
use crate::number::{count, nanos};
use crate::run::{Run, WorkerStep};
use ktstr_model::verdict::Place;

/// Workers that are named in an explanation.
const NAMED: usize = 3;

pub(super) fn bound(run: &Run<'_>) -> String {
    let tasks = if run.samples.is_empty() { "" } else { ", and no task may wait too long" };
    format!("every worker must run in every step{tasks}")
}

pub(super) fn judge(run: &Run<'_>) -> Outcome {
    let steps = run.worker_steps();
    let starved: Vec<&WorkerStep> = steps.iter().filter(|step| step.iterations == 0).collect();
    let worst = starved.iter().max_by_key(|step| (step.nanos, step.run_delay_ns, u32::MAX - step.worker));
    let tasks = tasks::look(run);
    let Some(worst) = worst else {
        let fewest = steps.iter().map(|step| step.iterations).min();
        let workers = match fewest {
            Some(fewest) => format!("all workers ran, at least {}", count(fewest, "iteration")),
            None if tasks.seen => "no worker was to run".into(),
            None => return Outcome::Nothing("no worker was to run".into()),
        };
        return Outcome::Judged(match tasks.starved {
            Some(task) => Judged {
                within: false,
                measured: task.measured,
                place: task.place,
                explanation: task.explanation,
                hold_off: Some(task.limit),
            },
            None => Judged { within: true, measured: format!("{workers}{}", tasks.said), ..Judged::default() },
        });
    };
    let used = if worst.cpu_ns > 0 { format!(", used {} of CPU time", nanos(worst.cpu_ns)) } else { String::new() };
    let measured = format!(
        "{} did not run for {} (0 iterations, waited {} runnable{used})",
        run.name(worst.worker, worst.segment),
        nanos(worst.nanos),
        nanos(worst.run_delay_ns),
    );
    let place = Place { at: Some(worst.end), ..run.place(worst.worker, worst.segment) };
    let mut explanation = explain(run, &steps, &starved, worst);
    if let Some(task) = tasks.starved {
        explanation += &format!("\n{}", task.measured);
    }
    Outcome::Judged(Judged { within: false, measured, place, explanation, hold_off: Some(worst.nanos) })
}

/// Who else starved, and who had the CPUs meanwhile.
fn explain(run: &Run<'_>, steps: &[WorkerStep], starved: &[&WorkerStep], worst: &WorkerStep) -> String {
    let mut lines = vec![format!("it may run on CPUs {}", worst.allowed)];
    let mut others: Vec<&WorkerStep> = steps
        .iter()
        .filter(|other| other.step == worst.step && other.cpu_ns > 0 && other.worker != worst.worker)
        .filter(|other| !other.cpus.intersection(&worst.allowed).is_empty())
        .collect();
    others.sort_by_key(|other| (std::cmp::Reverse(other.cpu_ns), other.worker));
    let ran = |other: &&WorkerStep| format!("{} ran {}", run.name(other.worker, other.segment), nanos(other.cpu_ns));
    match others.len() {
        0 => lines.push("no other worker ran on these".into()),
        more => {
            let named: Vec<String> = others.iter().take(NAMED).map(ran).collect();
            let rest = if more > NAMED { format!(" and {} more", more - NAMED) } else { String::new() };
            lines.push(format!("there meanwhile: {}{rest}", named.join(", ")));
        }
    }
    if starved.len() > 1 {
        lines.push(format!("{} starved in all, counted in each step", count(starved.len() as u64, "worker")));
    }
    lines.join("\n")
}
