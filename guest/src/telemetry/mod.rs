//! Counters of a worker: the worker's side writes them ([`Recorder`]), the agent's side makes reports of them ([`report`]).
//!
//! A worker counts into the slot of the segment's parity, and only it ever resets that slot, when it first sees the
//! segment's number. So a worker that is stopped at any point for any time can never count into a segment that is not its
//! own: by the time it comes back it resets the slot before it counts. The agent takes a slot as it is after the segment
//! has ended; a slot whose tag is not that segment's belongs to a worker that did not run in it.
//!
//! What happens while actions are applied is not counted: the worker looks at the segment before and after it looks at
//! clock and CPU, and drops the sample if it was not the same running segment both times.

mod recorder;
mod report;

pub use recorder::{Progress, Recorder, Sample};
pub use report::{report, Segment};

use crate::sys::shared::{GapSlot, SegmentSlot, WorkerSlot};

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

/// The two gaps take turns, too.
fn gap_slot(slot: &SegmentSlot, index: u32) -> &GapSlot {
    let [even, odd] = &slot.gaps;
    if index.is_multiple_of(2) {
        even
    } else {
        odd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shared::{map_shared, Board};
    use ktstr_model::event::{LatencyHistogram, WorkerReport};
    use std::cell::Cell;
    use std::sync::atomic::Ordering;

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
