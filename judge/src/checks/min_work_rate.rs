//! `min_work_rate`: the fewest iterations per second of a worker in a step.

use super::{Judged, Outcome};
use crate::number::{nanos, rate};
use crate::run::{Run, WorkerStep};
use ktstr_model::verdict::Place;

pub(super) fn bound(bound: f64) -> String {
    format!("at least {}", rate(bound))
}

pub(super) fn judge(run: &Run<'_>, bound: f64) -> Outcome {
    let steps = run.worker_steps();
    let timed = steps.iter().filter(|step| step.nanos > 0);
    let Some(worst) = timed.min_by(|a, b| per_second(a).total_cmp(&per_second(b))) else {
        return Outcome::Nothing("no worker was to run".into());
    };
    Outcome::Judged(Judged {
        within: per_second(worst) >= bound,
        measured: format!("rate of {}", rate(per_second(worst))),
        place: Place { at: Some(worst.end), ..run.place(worst.worker, worst.segment) },
        explanation: format!(
            "{} iterations in {}, of which it ran {} and waited {} runnable",
            worst.iterations,
            nanos(worst.nanos),
            nanos(worst.cpu_ns),
            nanos(worst.run_delay_ns)
        ),
        hold_off: None,
    })
}

fn per_second(step: &WorkerStep) -> f64 {
    step.iterations as f64 * 1e9 / step.nanos as f64
}
