//! The agent's side: takes a slot as it is after its segment has ended.

use super::{gap_slot, slot_of, word_running};
use crate::sys::shared::{SegmentSlot, WorkerSlot};
use ktstr_model::event::{LatencyHistogram, WorkerReport, LATENCY_BUCKETS};
use ktstr_model::CpuSet;
use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

/// A segment that has ended, as the agent saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u32,
    /// Start in guest time.
    pub start: u64,
    /// End in guest time.
    pub end: u64,
}

/// What a worker counted in `segment`. CPU time and run delay are not in the slot; the CPU of a worker that did not run is
/// `cpu_now`. The time from its last progress to the end of the segment is a gap like any other.
pub fn report(slot: &WorkerSlot, worker: u32, segment: Segment, cpu_now: impl FnOnce() -> u32) -> WorkerReport {
    let word = word_running(segment.number);
    let counters = slot_of(slot, word);
    let mut report = WorkerReport { worker, segment: segment.number, ..WorkerReport::default() };
    let ran = counters.tag.load(Ordering::Acquire) == word;
    if ran {
        report.iterations = counters.iterations.load(Ordering::Relaxed);
        report.migrations = counters.migrations.load(Ordering::Relaxed);
        report.cpus = CpuSet::from_words(&counters.cpus.each_ref().map(|bits| bits.load(Ordering::Relaxed)));
        report.wakeups = histogram(&counters.wakeups, &counters.wakeup_max);
        (report.gap_max_ns, report.gap_max_at, report.gap_max_cpu) = load_gap(counters);
    }
    let last = if ran { slot.last_at.load(Ordering::Acquire) } else { 0 };
    let awake = last.max(segment.start).max(slot.asleep_until.load(Ordering::Acquire));
    let to_the_end = segment.end.saturating_sub(awake);
    if to_the_end > report.gap_max_ns || !ran {
        (report.gap_max_ns, report.gap_max_at, report.gap_max_cpu) = (to_the_end, segment.end, cpu_now());
    }
    report
}

/// The valid gap. A worker that is running may write a longer one meanwhile; two in the time of a few loads are not
/// possible while it holds that each is longer than the one before, so that a few tries are enough.
fn load_gap(slot: &SegmentSlot) -> (u64, u64, u32) {
    let mut gap = (0, 0, 0);
    for _ in 0..8 {
        let index = slot.gap_index.load(Ordering::Acquire);
        let valid = gap_slot(slot, index);
        gap =
            (valid.length.load(Ordering::Relaxed), valid.at.load(Ordering::Relaxed), valid.cpu.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if slot.gap_index.load(Ordering::Relaxed) == index {
            break;
        }
    }
    gap
}

fn histogram(counts: &[AtomicU32; LATENCY_BUCKETS], max: &AtomicU64) -> LatencyHistogram {
    let max_ns = max.load(Ordering::Relaxed);
    if max_ns == 0 {
        return LatencyHistogram::default();
    }
    let counts = (0u16..).zip(counts).map(|(bucket, count)| (bucket, u64::from(count.load(Ordering::Relaxed))));
    LatencyHistogram { buckets: counts.filter(|(_, count)| *count > 0).collect(), max_ns }
}
