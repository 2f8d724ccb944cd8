//! Counters of a worker: the worker's side writes them ([`Recorder`]), the agent's side makes reports of them ([`report`]).
//!
//! A worker counts into the slot of the segment's parity, and only it ever resets that slot, when it first sees the
//! segment's number. So a worker that is stopped at any point for any time can never count into a segment that is not its
//! own: by the time it comes back it resets the slot before it counts. The agent takes a slot as it is after the segment
//! has ended; a slot whose tag is not that segment's belongs to a worker that did not run in it.
//!
//! What happens while actions are applied is not counted: the worker looks at the segment before and after it looks at
//! clock and CPU, and drops the sample if it was not the same running segment both times.

use crate::sys::shared::{Board, GapSlot, SegmentSlot, WorkerSlot};
use ktstr_model::event::{LatencyHistogram, WorkerReport, LATENCY_BUCKETS};
use ktstr_model::CpuSet;
use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};

/// Value of [`Board::segment`] before segment `n` runs.
pub fn word_before(segment: u32) -> u32 {
    segment * 2 + 1
}

/// Value of [`Board::segment`] while segment `n` runs.
pub fn word_running(segment: u32) -> u32 {
    segment * 2 + 2
}

fn is_running(word: u32) -> bool {
    word != 0 && word.is_multiple_of(2)
}

/// Segments take turns with the two slots.
fn slot_of(worker: &WorkerSlot, word: u32) -> &SegmentSlot {
    let [even, odd] = &worker.segments;
    if (word / 2).is_multiple_of(2) {
        even
    } else {
        odd
    }
}

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

fn gap_slot(slot: &SegmentSlot, index: u32) -> &GapSlot {
    let [even, odd] = &slot.gaps;
    if index.is_multiple_of(2) {
        even
    } else {
        odd
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shared::map_shared;
    use std::cell::Cell;

    struct Bench {
        board: &'static Board,
        worker: &'static WorkerSlot,
        now: Cell<Sample>,
    }

    impl Bench {
        fn new() -> Self {
            let board = &map_shared(1).expect("maps")[0];
            let worker = &map_shared(1).expect("maps")[0];
            Self { board, worker, now: Cell::new(Sample { at: 0, cpu: 0 }) }
        }

        fn recorder(&self) -> Recorder<'static, impl FnMut() -> Sample + '_> {
            Recorder::new(self.board, self.worker, || self.now.get())
        }

        fn start(&self, segment: u32, at: u64) {
            self.board.segment_start.store(at, Ordering::Release);
            self.board.segment.store(word_running(segment), Ordering::Release);
        }

        fn report(&self, number: u32, start: u64, end: u64) -> WorkerReport {
            self.board.segment.store(word_before(number + 1), Ordering::Release);
            report(self.worker, 3, Segment { number, start, end }, || 77)
        }
    }

    macro_rules! at {
        ($bench:ident, $recorder:ident, $at:expr, $cpu:expr, $progress:expr) => {
            $bench.now.set(Sample { at: $at, cpu: $cpu });
            $recorder.note($progress);
        };
    }

    #[test]
    fn counts_iterations_cpus_migrations_and_the_longest_gap() {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.start(0, 100);
        at!(bench, recorder, 110, 1, Progress::Iteration);
        at!(bench, recorder, 150, 70, Progress::Iteration);
        at!(bench, recorder, 155, 1, Progress::Part);
        let report = bench.report(0, 100, 160);
        assert_eq!((report.worker, report.segment, report.iterations, report.migrations), (3, 0, 2, 2));
        assert_eq!(report.cpus.to_string(), "1,70");
        assert_eq!((report.gap_max_ns, report.gap_max_at, report.gap_max_cpu), (40, 150, 70));
        assert_eq!(report.wakeups, LatencyHistogram::default());
    }

    #[test]
    fn a_gap_that_lasts_to_the_end_is_seen() {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.start(0, 100);
        at!(bench, recorder, 110, 1, Progress::Iteration);
        let report = bench.report(0, 100, 900);
        assert_eq!((report.gap_max_ns, report.gap_max_at, report.gap_max_cpu), (790, 900, 77));
    }

    #[test]
    fn a_worker_that_never_ran_has_one_gap_of_the_whole_segment() {
        let bench = Bench::new();
        let report = bench.report(4, 100, 900);
        assert_eq!((report.iterations, report.gap_max_ns, report.gap_max_cpu), (0, 800, 77));
        assert!(report.cpus.is_empty());
    }

    #[test]
    fn what_happens_between_segments_is_not_counted() {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.board.segment.store(word_before(0), Ordering::Release);
        at!(bench, recorder, 50, 9, Progress::Iteration);
        bench.start(0, 100);
        at!(bench, recorder, 110, 1, Progress::Woken(60));
        let report = bench.report(0, 100, 112);
        at!(bench, recorder, 130, 9, Progress::Iteration);
        assert_eq!((report.iterations, report.gap_max_ns), (0, 10));
        assert_eq!(report.cpus.to_string(), "1");
        assert_eq!(report.wakeups.count(), 0);
    }

    #[test]
    fn a_sample_across_the_end_of_a_segment_is_dropped() {
        let bench = Bench::new();
        bench.start(0, 100);
        let mut recorder = Recorder::new(bench.board, bench.worker, || {
            bench.board.segment.store(word_before(1), Ordering::Release);
            Sample { at: 120, cpu: 5 }
        });
        recorder.note(Progress::Iteration);
        let report = bench.report(0, 100, 110);
        assert_eq!(report.iterations, 0);
        assert!(report.cpus.is_empty());
    }

    #[test]
    fn slots_are_used_again_two_segments_later_without_leftovers() {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.start(0, 100);
        at!(bench, recorder, 190, 1, Progress::WokenIteration(150));
        bench.report(0, 100, 200);
        let late = bench.report(2, 300, 400);
        assert_eq!((late.iterations, late.wakeups.count()), (0, 0));
        bench.start(2, 300);
        at!(bench, recorder, 301, 2, Progress::WokenIteration(300));
        let report = bench.report(2, 300, 302);
        assert_eq!((report.iterations, report.gap_max_ns, report.migrations), (1, 1, 0));
        assert_eq!(report.cpus.to_string(), "2");
        assert_eq!(report.wakeups, LatencyHistogram { buckets: vec![(1, 1)], max_ns: 1 });
    }

    #[test]
    fn sleep_that_was_asked_for_is_no_gap() {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.start(0, 100);
        at!(bench, recorder, 101, 1, Progress::Part);
        recorder.sleeps_until(500);
        at!(bench, recorder, 503, 1, Progress::WokenIteration(500));
        recorder.sleeps_until(2000);
        let report = bench.report(0, 100, 1000);
        assert_eq!((report.gap_max_ns, report.gap_max_at), (3, 503));
    }

    #[test]
    fn latencies_fall_into_the_buckets_of_the_model() {
        let bench = Bench::new();
        let mut recorder = bench.recorder();
        bench.start(0, 1000);
        for latency in [0, 5, 1_000, 1_000, 40_000_000_000] {
            at!(bench, recorder, 1000 + latency, 1, Progress::Woken(1000));
        }
        let wakeups = bench.report(0, 1000, 1000).wakeups;
        let bucket = |ns: u64| LatencyHistogram::bucket_of(ns) as u16;
        assert_eq!(wakeups.buckets, [(0, 1), (5, 1), (bucket(1_000), 2), (bucket(40_000_000_000), 1)]);
        assert_eq!((wakeups.max_ns, wakeups.quantile(1.0)), (40_000_000_000, Some(40_000_000_000)));
    }
}
