//! `not_starved`: every worker iterates at least once in every step in which it is expected to run.

use super::{Judged, Outcome};
use crate::number::{count, nanos};
use crate::run::{Run, WorkerStep};
use ktstr_model::verdict::Place;

/// Workers that are named in an explanation.
const NAMED: usize = 3;

pub(super) fn bound() -> String {
    "every worker must run in every step".into()
}

pub(super) fn judge(run: &Run<'_>) -> Outcome {
    let steps = run.worker_steps();
    let starved: Vec<&WorkerStep> = steps.iter().filter(|step| step.iterations == 0).collect();
    let worst = starved.iter().max_by_key(|step| (step.nanos, step.run_delay_ns, u32::MAX - step.worker));
    let Some(worst) = worst else {
        return match steps.iter().map(|step| step.iterations).min() {
            None => Outcome::Nothing("no worker was to run".into()),
            Some(fewest) => Outcome::Judged(Judged {
                within: true,
                measured: format!("all workers ran, at least {}", count(fewest, "iteration")),
                ..Judged::default()
            }),
        };
    };
    let used = if worst.cpu_ns > 0 { format!(", used {} of CPU time", nanos(worst.cpu_ns)) } else { String::new() };
    let measured = format!(
        "{} did not run for {} (0 iterations, waited {} runnable{used})",
        run.name(worst.worker, worst.segment),
        nanos(worst.nanos),
        nanos(worst.run_delay_ns),
    );
    let place = Place { at: Some(worst.end), ..run.place(worst.worker, worst.segment) };
    Outcome::Judged(Judged {
        within: false,
        measured,
        place,
        explanation: explain(run, &steps, &starved, worst),
        hold_off: Some(worst.nanos),
    })
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
