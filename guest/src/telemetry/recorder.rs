//! The worker's side: counts into the slot of the running segment.

use super::{gap_slot, is_running, slot_of};
use crate::sys::shared::{Board, SegmentSlot, WorkerSlot};
use ktstr_model::event::LatencyHistogram;
use std::sync::atomic::{fence, Ordering};

/// Where and when a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Guest time.
    pub at: u64,
    /// CPU.
    pub cpu: u32,
}

/// What a worker has just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A part of an iteration.
    Part,
    /// An iteration.
    Iteration,
    /// It was woken at the guest time that is given, and is now running.
    Woken(u64),
    /// It was woken at the guest time that is given, and that was an iteration.
    WokenIteration(u64),
}

/// The worker's side. `sample` looks at clock and CPU.
pub struct Recorder<'a, S> {
    board: &'a Board,
    worker: &'a WorkerSlot,
    sample: S,
    word: u32,
    start: u64,
    last_at: u64,
    last_cpu: Option<u32>,
    asleep_until: u64,
    iterations: u64,
    migrations: u64,
    gap_max: u64,
}

impl<'a, S: FnMut() -> Sample> Recorder<'a, S> {
    /// A recorder that has seen nothing yet.
    pub fn new(board: &'a Board, worker: &'a WorkerSlot, sample: S) -> Self {
        Self {
            board,
            worker,
            sample,
            word: 0,
            start: 0,
            last_at: 0,
            last_cpu: None,
            asleep_until: 0,
            iterations: 0,
            migrations: 0,
            gap_max: 0,
        }
    }

    /// To be called before a sleep that ends at guest time `deadline`: it is not a gap.
    pub fn sleeps_until(&mut self, deadline: u64) {
        self.asleep_until = deadline;
        self.worker.asleep_until.store(deadline, Ordering::Release);
    }

    /// Counts what was done, if a segment runs; gives the guest time.
    pub fn note(&mut self, progress: Progress) -> u64 {
        let word = self.board.segment.load(Ordering::Acquire);
        if word != self.word {
            self.enter(word);
        }
        let seen = (self.sample)();
        fence(Ordering::Acquire);
        let unchanged = self.board.segment.load(Ordering::Acquire) == word;
        if unchanged && is_running(word) {
            self.count(progress, seen);
        }
        self.last_at = seen.at;
        seen.at
    }

    fn enter(&mut self, word: u32) {
        self.word = word;
        self.last_cpu = None;
        if !is_running(word) {
            return;
        }
        self.start = self.board.segment_start.load(Ordering::Acquire);
        (self.iterations, self.migrations, self.gap_max) = (0, 0, 0);
        let slot = slot_of(self.worker, word);
        slot.tag.store(0, Ordering::Release);
        slot.iterations.store(0, Ordering::Relaxed);
        slot.migrations.store(0, Ordering::Relaxed);
        for gap in &slot.gaps {
            gap.length.store(0, Ordering::Relaxed);
        }
        for bits in &slot.cpus {
            bits.store(0, Ordering::Relaxed);
        }
        if slot.wakeup_max.load(Ordering::Relaxed) != 0 {
            slot.wakeup_max.store(0, Ordering::Relaxed);
            slot.wakeups.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        }
        slot.tag.store(word, Ordering::Release);
    }

    fn count(&mut self, progress: Progress, seen: Sample) {
        let slot = slot_of(self.worker, self.word);
        if matches!(progress, Progress::Iteration | Progress::WokenIteration(_)) {
            self.iterations += 1;
            slot.iterations.store(self.iterations, Ordering::Relaxed);
        }
        match progress {
            // A wake that lies before the segment has a latency that is not this segment's.
            Progress::Woken(at) | Progress::WokenIteration(at) if at >= self.start => {
                count_wakeup(slot, seen.at.saturating_sub(at));
            }
            _ => {}
        }
        let gap = seen.at.saturating_sub(self.last_at.max(self.start).max(self.asleep_until));
        if gap > self.gap_max {
            self.gap_max = gap;
            store_gap(slot, gap, seen);
        }
        if self.last_cpu != Some(seen.cpu) {
            if self.last_cpu.is_some() {
                self.migrations += 1;
                slot.migrations.store(self.migrations, Ordering::Relaxed);
            }
            self.last_cpu = Some(seen.cpu);
            if let Some(bits) = slot.cpus.get(seen.cpu as usize / 64) {
                bits.store(bits.load(Ordering::Relaxed) | 1 << (seen.cpu % 64), Ordering::Relaxed);
            }
        }
        self.worker.last_at.store(seen.at, Ordering::Release);
    }
}

/// Writes the longest gap beside the one that is valid, then makes it valid.
fn store_gap(slot: &SegmentSlot, length: u64, end: Sample) {
    let next = slot.gap_index.load(Ordering::Relaxed).wrapping_add(1);
    let gap = gap_slot(slot, next);
    gap.length.store(length, Ordering::Relaxed);
    gap.at.store(end.at, Ordering::Relaxed);
    gap.cpu.store(end.cpu, Ordering::Relaxed);
    slot.gap_index.store(next, Ordering::Release);
}

fn count_wakeup(slot: &SegmentSlot, latency: u64) {
    if let Some(count) = slot.wakeups.get(LatencyHistogram::bucket_of(latency)) {
        count.store(count.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }
    // At least 1, so that a slot with a count is known by it.
    if latency.max(1) > slot.wakeup_max.load(Ordering::Relaxed) {
        slot.wakeup_max.store(latency.max(1), Ordering::Relaxed);
    }
}
