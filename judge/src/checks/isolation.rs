//! `isolation`: no worker is seen on a CPU outside of its affinity and of the cpusets that hold for it.

use super::{Judged, Outcome};
use crate::number::count;
use crate::run::{Run, Segment};
use ktstr_model::verdict::Place;
use ktstr_model::CpuSet;

pub(super) fn bound() -> String {
    "every worker must keep to its CPUs".into()
}

/// A worker in a segment.
struct Stay<'a> {
    segment: &'a Segment<'a>,
    worker: u32,
    allowed: &'a CpuSet,
    outside: CpuSet,
}

pub(super) fn judge(run: &Run<'_>) -> Outcome {
    let mut seen = false;
    let mut strayed: Vec<Stay<'_>> = Vec::new();
    for segment in &run.segments {
        for (expect, report) in segment.active() {
            // A worker that was nowhere has kept to nothing.
            seen |= !report.cpus.is_empty();
            let outside = report.cpus.difference(&expect.cpus);
            if !outside.is_empty() {
                strayed.push(Stay { segment, worker: report.worker, allowed: &expect.cpus, outside });
            }
        }
    }
    if !seen {
        return Outcome::Nothing("no worker was seen on any CPU".into());
    }
    // The first of those that strayed to the most CPUs.
    let Some(worst) = strayed.iter().rev().max_by_key(|stay| stay.outside.len()) else {
        let measured = "all workers kept to their CPUs".into();
        return Outcome::Judged(Judged { within: true, measured, ..Judged::default() });
    };
    let name = run.name(worst.worker, worst.segment.number);
    let cpu = worst.outside.iter().next();
    Outcome::Judged(Judged {
        within: false,
        measured: format!("{name} ran on CPU {}, outside of {}", worst.outside, worst.allowed),
        place: Place { cpu, at: Some(worst.segment.end), ..run.place(worst.worker, worst.segment.number) },
        explanation: match strayed.len() {
            1 => String::new(),
            more => format!("{} strayed in all, counted in each hold", count(more as u64, "worker")),
        },
        hold_off: None,
    })
}
