//! `max_wakeup_latency`: percentiles of the wakeup latencies of a worker group in a step, all its workers together.

use super::{Judged, Outcome};
use crate::number::{count, nanos};
use crate::run::Run;
use ktstr_model::event::LatencyHistogram;
use ktstr_model::spec::LatencyBounds;
use ktstr_model::verdict::Place;
use ktstr_model::{GuestNanos, Nanos};
use std::collections::BTreeMap;

/// A percentile: its name, its quantile, its bound.
type Part = (&'static str, f64, Option<Nanos>);

fn parts(bounds: &LatencyBounds) -> [Part; 4] {
    [("p50", 0.5, bounds.p50), ("p99", 0.99, bounds.p99), ("p999", 0.999, bounds.p999), ("max", 1.0, bounds.max)]
}

pub(super) fn bound(bounds: &LatencyBounds) -> String {
    let texts =
        parts(bounds).into_iter().filter_map(|(name, _, bound)| Some(format!("{name} at most {}", nanos(bound?.0))));
    texts.collect::<Vec<_>>().join(", ")
}

/// Wakeups of one group in one step.
struct Wakeups {
    latencies: LatencyHistogram,
    worker: u32,
    segment: u32,
    end: GuestNanos,
}

pub(super) fn judge(run: &Run<'_>, bounds: &LatencyBounds) -> Outcome {
    if !run.case.plan.groups.iter().any(|group| group.work.blocks()) {
        return Outcome::Nothing("no worker of this case blocks, so none is woken".into());
    }
    if parts(bounds).iter().all(|(_, _, bound)| bound.is_none()) {
        return Outcome::Nothing("no percentile has a bound".into());
    }
    let groups = gather(run);
    let excess = |of: &&Wakeups| excess(&of.latencies, bounds);
    let woken = groups.values().filter(|of| of.latencies.count() > 0);
    let Some(worst) = woken.max_by(|a, b| excess(a).total_cmp(&excess(b))) else {
        return Outcome::Nothing("no worker was woken".into());
    };
    let value = |quantile| worst.latencies.quantile(quantile).unwrap_or(0);
    let bounded = parts(bounds).into_iter().filter(|(_, _, bound)| bound.is_some());
    let measured: Vec<String> =
        bounded.map(|(name, quantile, _)| format!("{name} {}", nanos(value(quantile)))).collect();
    let all = parts(bounds).map(|(name, quantile, _)| format!("{name} {}", nanos(value(quantile))));
    let work = run.case.plan.group_of(worst.worker).and_then(|group| run.case.plan.groups.get(group));
    Outcome::Judged(Judged {
        within: excess(&worst) <= 1.0,
        measured: format!("wakeup {}", measured.join(", ")),
        place: Place { worker: None, at: Some(worst.end), ..run.place(worst.worker, worst.segment) },
        explanation: format!(
            "{}: {} in this step, {}",
            work.map_or("workers", |group| group.work.name()),
            count(worst.latencies.count(), "wakeup"),
            all.join(", ")
        ),
        hold_off: exceeded(&worst.latencies, bounds),
    })
}

/// By step and group.
fn gather(run: &Run<'_>) -> BTreeMap<(u32, usize), Wakeups> {
    let mut groups: BTreeMap<(u32, usize), Wakeups> = BTreeMap::new();
    for segment in &run.segments {
        for (_, report) in segment.active() {
            let Some(group) = run.case.plan.group_of(report.worker) else { continue };
            let wakeups = groups.entry((segment.step, group)).or_insert_with(|| Wakeups {
                latencies: LatencyHistogram::default(),
                worker: report.worker,
                segment: segment.number,
                end: segment.end,
            });
            wakeups.latencies.merge(&report.wakeups);
            wakeups.end = segment.end;
        }
    }
    groups
}

/// The largest bound that is exceeded: the host's doing has to be longer than all of these.
fn exceeded(latencies: &LatencyHistogram, bounds: &LatencyBounds) -> Option<u64> {
    let exceeded =
        |(_, quantile, bound): Part| Some(bound?.0).filter(|bound| latencies.quantile(quantile) > Some(*bound));
    parts(bounds).into_iter().filter_map(exceeded).max()
}

/// The largest quotient of a percentile and its bound.
fn excess(latencies: &LatencyHistogram, bounds: &LatencyBounds) -> f64 {
    let quotient = |(_, quantile, bound): Part| {
        let (value, bound) = (latencies.quantile(quantile)? as f64, bound?.0 as f64);
        Some(if value <= bound { value / bound.max(1.0) } else { (value / bound.max(1e-9)).max(1.0 + f64::EPSILON) })
    };
    parts(bounds).into_iter().filter_map(quotient).fold(0.0, f64::max)
}
