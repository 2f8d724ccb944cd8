//! `max_gap`: the longest time between two iterations of a worker, sleep that it asked for left out.

use super::{Judged, Outcome};
use crate::number::nanos;
use crate::run::{Run, Segment};
use ktstr_model::event::WorkerReport;
use ktstr_model::verdict::Place;
use ktstr_model::{GuestNanos, Nanos};

pub(super) fn bound(bound: Nanos) -> String {
    format!("at most {}", nanos(bound.0))
}

pub(super) fn judge(run: &Run<'_>, bound: Nanos) -> Outcome {
    let all = run.segments.iter().flat_map(|segment| segment.active().map(move |(_, report)| (segment, report)));
    let Some((segment, report)) = all.max_by_key(|(segment, report)| gap(segment, report)) else {
        return Outcome::Nothing("no worker was to run".into());
    };
    let gap = gap(segment, report);
    let known = report.iterations > 0;
    Outcome::Judged(Judged {
        within: gap <= bound.0,
        measured: format!("gap of {}", nanos(gap)),
        place: Place {
            cpu: known.then_some(report.gap_max_cpu),
            at: Some(if known { GuestNanos(report.gap_max_at) } else { segment.end }),
            ..run.place(report.worker, segment.number)
        },
        explanation: format!(
            "in this hold of {} it ran {} and waited {} runnable",
            nanos(segment.nanos()),
            nanos(report.cpu_ns),
            nanos(report.run_delay_ns)
        ),
        hold_off: Some(bound.0),
    })
}

/// A worker that never iterated has a gap as long as its segment.
fn gap(segment: &Segment<'_>, report: &WorkerReport) -> u64 {
    match report.iterations {
        0 => report.gap_max_ns.max(segment.nanos()),
        _ => report.gap_max_ns,
    }
}
