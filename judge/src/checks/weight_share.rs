//! `weight_share`: CPU time follows weight. What those who never sleep had together in a step is divided anew by their weights, and
//! nobody's part can be more than the length of the step; the largest distance from that, as a part of it, is what is measured.
//!
//! Compared are workers of one cgroup, by the kernel's weight of their nice value, and cgroups beside each other, by `cpu.weight`.

mod rivals;

use super::{Judged, Outcome};
use crate::number::{nanos, percent};
use crate::run::Run;
use crate::water::{fill, Glass};
use ktstr_model::verdict::Place;
use rivals::{Rival, Who};

/// Rivals that are named in an explanation.
const NAMED: usize = 4;

pub(super) fn bound(bound: f64) -> String {
    format!("at most {} off", percent(bound))
}

/// Those who shared CPUs, and what each was due.
struct Shares {
    rivals: Vec<Rival>,
    due: Vec<f64>,
    /// The one that is farthest off, and by which part of its share.
    worst: usize,
    off: f64,
}

pub(super) fn judge(run: &Run<'_>, bound: f64) -> Outcome {
    let shares = rivals::of(run).into_iter().filter_map(share);
    // Of those that are equally far off, the first.
    let Some(worst) = shares.reduce(|worst, next| if next.off > worst.off { next } else { worst }) else {
        let why =
            "no two workers of a cgroup, and no two cgroups beside each other, ran without a pause on the same CPUs";
        return Outcome::Nothing(why.into());
    };
    let Some((rival, due)) = worst.rivals.get(worst.worst).zip(worst.due.get(worst.worst)) else {
        return Outcome::Nothing("nobody is due anything".into());
    };
    let place = run.place(rival.worker, rival.segment);
    let (name, place) = match rival.who {
        Who::Worker => (run.name(rival.worker, rival.segment), place),
        Who::Cgroup(_) => {
            let cgroup = Some(name(run, rival));
            (format!("cgroup {}", name(run, rival)), Place { worker: None, cgroup, ..place })
        }
    };
    Outcome::Judged(Judged {
        within: worst.off <= bound,
        measured: format!(
            "{} off: {name} had {} of CPU time, its weight gives {}",
            percent(worst.off),
            nanos(rival.had),
            nanos(*due as u64)
        ),
        place: Place { at: Some(rival.end), ..place },
        explanation: explain(run, &worst),
        hold_off: None,
    })
}

/// None where nobody used CPU time: `not_starved` speaks of that.
fn share(rivals: Vec<Rival>) -> Option<Shares> {
    let together: f64 = rivals.iter().map(|rival| rival.had as f64).sum();
    let glasses = rivals.iter().map(|rival| Glass { weight: f64::from(rival.weight), most: rival.most as f64 });
    let due = fill(&glasses.collect::<Vec<_>>(), together);
    let off = rivals.iter().zip(&due).map(|(rival, due)| (rival.had as f64 - due).abs() / due);
    // What is due is rounded, and never below a part of a nanosecond unless there was nothing.
    let known = off.enumerate().filter(|(_, off)| off.is_finite());
    let (worst, off) = known.reduce(|worst, next| if next.1 > worst.1 { next } else { worst })?;
    Some(Shares { rivals, due, worst, off })
}

fn explain(run: &Run<'_>, shares: &Shares) -> String {
    let line = |(rival, due): (&Rival, &f64)| {
        let (had, due) = (nanos(rival.had), nanos(*due as u64));
        format!("{}: weight {}, had {had}, due {due}", name(run, rival), rival.weight)
    };
    let mut lines: Vec<String> = shares.rivals.iter().zip(&shares.due).take(NAMED).map(line).collect();
    if shares.rivals.len() > NAMED {
        lines.push(format!("and {} more", shares.rivals.len() - NAMED));
    }
    lines.join("\n")
}

fn name(run: &Run<'_>, rival: &Rival) -> String {
    match rival.who {
        Who::Worker => run.case.plan.worker_name(rival.worker),
        Who::Cgroup(index) => {
            let cgroup = run.case.plan.cgroups.get(index as usize);
            cgroup.map_or_else(|| format!("number {index}"), |cgroup| cgroup.name.clone())
        }
    }
}
