//! `max_spread`: the difference between the most and the least CPU time among workers of one group in a step, as a part of
//! their mean. CPU time, not iterations: under the virtual clock identical spinners iterate at different rates.

use super::{Judged, Outcome};
use crate::number::{nanos, percent};
use crate::run::{Run, WorkerStep};
use ktstr_model::verdict::Place;
use std::collections::BTreeMap;

pub(super) fn bound(bound: f64) -> String {
    format!("at most {}", percent(bound))
}

/// One group in one step.
struct Spread<'a> {
    part: f64,
    workers: usize,
    least: &'a WorkerStep,
    most: &'a WorkerStep,
}

pub(super) fn judge(run: &Run<'_>, bound: f64) -> Outcome {
    let steps = run.worker_steps();
    // Only workers that were there for the whole step can be compared.
    let mut groups: BTreeMap<(u32, usize), Vec<&WorkerStep>> = BTreeMap::new();
    for worker in steps.iter().filter(|worker| worker.whole) {
        if let Some(group) = run.case.plan.group_of(worker.worker) {
            groups.entry((worker.step, group)).or_default().push(worker);
        }
    }
    let spreads = groups.values().filter_map(|workers| spread(workers));
    let Some(worst) = spreads.max_by(|a, b| a.part.total_cmp(&b.part)) else {
        return Outcome::Nothing("no group has two workers that used CPU time for a whole step".into());
    };
    let name = |worker: &WorkerStep| run.case.plan.worker_name(worker.worker);
    Outcome::Judged(Judged {
        within: worst.part <= bound,
        measured: format!("spread of {}", percent(worst.part)),
        place: Place { at: Some(worst.least.end), ..run.place(worst.least.worker, worst.least.segment) },
        explanation: format!(
            "of {} workers {} had the least CPU time with {}, {} the most with {}",
            worst.workers,
            name(worst.least),
            nanos(worst.least.cpu_ns),
            name(worst.most),
            nanos(worst.most.cpu_ns)
        ),
        hold_off: None,
    })
}

/// None for a group of one, and for one that used no CPU time at all: `not_starved` speaks of that.
fn spread<'a>(workers: &[&'a WorkerStep]) -> Option<Spread<'a>> {
    let least = workers.iter().min_by_key(|worker| worker.cpu_ns)?;
    let most = workers.iter().max_by_key(|worker| worker.cpu_ns)?;
    let sum: f64 = workers.iter().map(|worker| worker.cpu_ns as f64).sum();
    if workers.len() < 2 || sum <= 0.0 {
        return None;
    }
    let part = (most.cpu_ns - least.cpu_ns) as f64 * workers.len() as f64 / sum;
    Some(Spread { part, workers: workers.len(), least, most })
}
