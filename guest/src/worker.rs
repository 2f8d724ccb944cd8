//! What a worker does: the loop of each work type.
//!
//! A worker is a process that the agent has forked. It waits at its group's gate while the agent sets its cgroup,
//! affinity and policy from outside; then it sleeps for its start offset and runs its loop until it is killed.
//!
//! Under the virtual clock a guest second is a fixed number of instructions of all CPUs together: the loops are made of
//! a few hundred instructions between two looks at the clock, and look without a system call.
//!
//! To add a work type: a variant of `ktstr_model::Work`, a function here, an arm in [`run`], a `Link` if workers belong
//! together.

use crate::seed;
use crate::sys::cpu_time;
use crate::sys::shared::{Board, Gate, PairSlot, WorkerSlot};
use crate::telemetry::{Progress, Recorder, Sample};
use ktstr_init::clock;
use ktstr_model::work::UPDATE_LOST;
use ktstr_model::{Nanos, Work};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::thread::futex;
use std::ffi::CString;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering};

/// Turns of [`spin`] between two looks at the clock. With the look, this is about 1,000 instructions: 8 us under the virtual
/// clock, if no other CPU is busy.
const SPIN_TURNS: u32 = 130;
/// Turns of [`spin`] before a yield.
const YIELD_SPIN_TURNS: u32 = 50;

/// Sleep of the two workers of a racy counter: they drift past each other.
const RACE_SLEEP_NS: [u64; 2] = [4_000_000, 4_900_000];
/// Turns of [`spin`] for which each of them is open to the race.
const RACE_SPIN_TURNS: u32 = 270;

/// Status of a worker whose partner's pipe failed.
const PIPE_FAILED: i32 = 102;

/// What connects a worker to its partner.
pub enum Link {
    /// It has none.
    None,
    /// Reads what the partner writes.
    Pipe {
        /// From the partner.
        read: OwnedFd,
        /// To the partner.
        write: OwnedFd,
        /// Whether it writes first.
        first: bool,
    },
    /// They share memory.
    Shared {
        /// With the partner.
        pair: &'static PairSlot,
        /// Its number of the two, 0 or 1.
        side: u32,
    },
}

/// All that a worker is given.
pub struct WorkerSetup {
    /// Its id.
    pub worker: u32,
    /// Its name, by which the kernel and schedulers call it.
    pub name: CString,
    /// The case's seed.
    pub seed: u64,
    /// What it does.
    pub work: Work,
    /// Its partner.
    pub link: Link,
    /// What all workers read.
    pub board: &'static Board,
    /// What its group waits for.
    pub gate: &'static Gate,
    /// What it writes.
    pub slot: &'static WorkerSlot,
}

/// Runs in the worker's process; gives its exit status if the loop cannot go on.
pub fn run(setup: WorkerSetup) -> i32 {
    let _ = rustix::thread::set_name(&setup.name);
    // The kernel may be late by this much with a timer of a normal task; the default is 50 us.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    // Touched before the gate, so that the page fault is not in a segment.
    setup.slot.last_at.store(0, Ordering::Relaxed);
    for segment in &setup.slot.segments {
        segment.tag.store(0, Ordering::Relaxed);
    }
    while setup.gate.open.load(Ordering::Acquire) == 0 {
        let _ = futex::wait(&setup.gate.open, futex::Flags::empty(), 0, None);
    }
    let mut recorder = Recorder::new(setup.board, setup.slot, sample);
    let start = setup.gate.opened_at.load(Ordering::Acquire) + seed::start_offset(setup.seed, setup.worker);
    recorder.sleeps_until(start);
    clock::sleep_until(start);
    match (setup.work, setup.link) {
        (Work::YieldHeavy, _) => yield_heavy(recorder),
        (Work::Bursty { burst, sleep }, _) => bursty(recorder, burst, sleep),
        (Work::PipePingPong, Link::Pipe { read, write, first }) => pipe_ping_pong(recorder, &read, &write, first),
        (Work::FutexPingPong, Link::Shared { pair, side }) => futex_ping_pong(recorder, pair, side),
        (Work::RacyCounter, Link::Shared { pair, side }) => racy_counter(recorder, pair, side),
        (Work::CpuSpin | Work::PipePingPong | Work::FutexPingPong | Work::RacyCounter, _) => cpu_spin(recorder),
    }
}

fn sample() -> Sample {
    Sample { at: clock::now(), cpu: rustix::thread::sched_getcpu() as u32 }
}

fn cpu_spin(mut recorder: Recorder<impl FnMut() -> Sample>) -> ! {
    loop {
        spin(SPIN_TURNS);
        recorder.note(Progress::Iteration);
    }
}

fn yield_heavy(mut recorder: Recorder<impl FnMut() -> Sample>) -> ! {
    loop {
        spin(YIELD_SPIN_TURNS);
        rustix::thread::sched_yield();
        recorder.note(Progress::Iteration);
    }
}

/// The parts of a burst are progress, so that a gap is a time in which the worker did not run, not its own burst.
fn bursty(mut recorder: Recorder<impl FnMut() -> Sample>, burst: Nanos, sleep: Nanos) -> ! {
    loop {
        let burst_end = cpu_time::own_cpu_time().saturating_add(burst.0);
        let mut now = recorder.note(Progress::Part);
        while cpu_time::own_cpu_time() < burst_end {
            spin(SPIN_TURNS);
            now = recorder.note(Progress::Part);
        }
        let wake = now.saturating_add(sleep.0);
        recorder.sleeps_until(wake);
        clock::sleep_until(wake);
        recorder.note(Progress::WokenIteration(wake));
    }
}

/// The message is the time just before it was written.
fn pipe_ping_pong(mut recorder: Recorder<impl FnMut() -> Sample>, read: &OwnedFd, write: &OwnedFd, first: bool) -> i32 {
    let mut writes = first;
    loop {
        if writes {
            let stamp = clock::now().to_ne_bytes();
            // Eight bytes are less than PIPE_BUF: all or nothing.
            match rustix::io::write(write, &stamp) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return PIPE_FAILED,
            }
        }
        writes = true;
        let mut stamp = [0; 8];
        loop {
            match rustix::io::read(read, &mut stamp) {
                Ok(8) => break,
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return PIPE_FAILED,
            }
        }
        recorder.note(Progress::WokenIteration(u64::from_ne_bytes(stamp)));
    }
}

fn futex_ping_pong(mut recorder: Recorder<impl FnMut() -> Sample>, pair: &PairSlot, side: u32) -> ! {
    let other = side ^ 1;
    loop {
        while pair.turn.load(Ordering::Acquire) != side {
            let _ = futex::wait(&pair.turn, futex::Flags::empty(), other, None);
        }
        let passed_at = pair.passed_at.load(Ordering::Acquire);
        recorder.note(Progress::WokenIteration(passed_at));
        pass_turn(pair, other);
    }
}

/// The planted race: between load and store the partner may have added, too. Each addition is also counted as it should be, so
/// that the first one after a loss sees it; the counter is read last, and so is never behind for another reason.
fn racy_counter(mut recorder: Recorder<impl FnMut() -> Sample>, pair: &PairSlot, side: u32) -> i32 {
    let sleep = if side == 0 { RACE_SLEEP_NS[0] } else { RACE_SLEEP_NS[1] };
    loop {
        let seen = pair.counter.load(Ordering::Acquire);
        spin(RACE_SPIN_TURNS);
        pair.counter.store(seen + 1, Ordering::Release);
        let added = pair.added.fetch_add(1, Ordering::AcqRel) + 1;
        if pair.counter.load(Ordering::Acquire) < added {
            return UPDATE_LOST;
        }
        let wake = recorder.note(Progress::Part) + sleep;
        recorder.sleeps_until(wake);
        clock::sleep_until(wake);
        recorder.note(Progress::WokenIteration(wake));
    }
}

fn pass_turn(pair: &PairSlot, to: u32) {
    pair.passed_at.store(clock::now(), Ordering::Release);
    pair.turn.store(to, Ordering::Release);
    let _ = futex::wake(&pair.turn, futex::Flags::empty(), 1);
}

/// Work that no compiler can leave out: each turn depends on the one before.
fn spin(turns: u32) {
    let mut x = turns;
    for _ in 0..turns {
        x = std::hint::black_box(x.rotate_left(5) ^ 0x9e37);
    }
}

/// Opens a gate: all its workers may run.
pub fn open(gate: &Gate) {
    gate.opened_at.store(clock::now(), Ordering::Release);
    gate.open.store(1, Ordering::Release);
    wake_all(&gate.open);
}

fn wake_all(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::spawn;
    use crate::sys::shared::map_shared;
    use crate::telemetry::{report, word_before, word_running, Segment};
    use ktstr_model::event::WorkerReport;
    use rustix::process::{kill_process, waitpid, Signal, WaitOptions};

    /// What each worker has to come to, however busy the host of the test is.
    const TURNS: u64 = 12;
    const TURNS_NS_MAX: u64 = 60_000_000_000;

    /// Runs two workers for a segment of 100 ms, and longer until both have made [`TURNS`]; gives their reports.
    fn run_two(work: &Work, links: [Link; 2]) -> Vec<WorkerReport> {
        let board = &map_shared::<Board>(1).expect("maps")[0];
        let gate = &map_shared::<Gate>(1).expect("maps")[0];
        let slots = map_shared::<WorkerSlot>(2).expect("maps");
        let start = |(worker, link): (u32, Link)| {
            let slot = &slots[worker as usize];
            let setup = WorkerSetup { worker, name: c"w".into(), seed: 1, work: work.clone(), link, board, gate, slot };
            spawn(|| run(setup)).expect("forks")
        };
        let pids: Vec<_> = (0..).zip(links).map(start).collect();
        open(gate);
        clock::sleep_until(clock::now() + seed::START_NS);
        let start = clock::now();
        board.segment_start.store(start, Ordering::Release);
        board.segment.store(word_running(0), Ordering::Release);
        clock::sleep_until(start + 100_000_000);
        let so_far = |slot| report(slot, 0, Segment { number: 0, start, end: clock::now() }, || 0).iterations;
        while slots.iter().any(|slot| so_far(slot) < TURNS) && clock::now() < start + TURNS_NS_MAX {
            clock::sleep_until(clock::now() + 5_000_000);
        }
        let end = clock::now();
        board.segment.store(word_before(1), Ordering::Release);
        // All are stopped first: the end of a worker closes its pipe, which would end its partner in another way.
        for pid in &pids {
            kill_process(*pid, Signal::STOP).expect("is a child");
        }
        for pid in pids {
            kill_process(pid, Signal::KILL).expect("is a child");
            let (_, status) = waitpid(Some(pid), WaitOptions::empty()).expect("is a child").expect("has ended");
            assert_eq!(status.terminating_signal(), Some(Signal::KILL.as_raw()), "{work:?} ended by itself");
        }
        let segment = Segment { number: 0, start, end };
        (0..).zip(slots).map(|(worker, slot)| report(slot, worker, segment, || 0)).collect()
    }

    #[test]
    fn workers_without_partners_iterate() {
        for work in [Work::CpuSpin, Work::YieldHeavy] {
            for report in run_two(&work, [Link::None, Link::None]) {
                assert!(report.iterations >= TURNS, "{work:?}: {report:?}");
                assert!(!report.cpus.is_empty() && report.wakeups.count() == 0, "{work:?}: {report:?}");
            }
        }
    }

    #[test]
    fn bursts_and_sleeps_make_a_turn() {
        let work = Work::Bursty { burst: Nanos(2_000_000), sleep: Nanos(8_000_000) };
        for report in run_two(&work, [Link::None, Link::None]) {
            assert!(report.iterations >= TURNS, "{report:?}");
            assert!(report.wakeups.count() <= report.iterations && report.wakeups.count() > 0, "{report:?}");
        }
    }

    #[test]
    fn pairs_wake_each_other() {
        let (read_a, write_b) = rustix::pipe::pipe().expect("a pipe");
        let (read_b, write_a) = rustix::pipe::pipe().expect("a pipe");
        let a = Link::Pipe { read: read_a, write: write_a, first: true };
        let pipes = run_two(&Work::PipePingPong, [a, Link::Pipe { read: read_b, write: write_b, first: false }]);
        let pair = &map_shared::<PairSlot>(1).expect("maps")[0];
        let futexes = [Link::Shared { pair, side: 0 }, Link::Shared { pair, side: 1 }];
        for reports in [pipes, run_two(&Work::FutexPingPong, futexes)] {
            let [a, b] = reports.as_slice() else { panic!("two workers") };
            assert!(a.iterations >= TURNS && a.iterations.abs_diff(b.iterations) <= 1, "{a:?} {b:?}");
            assert!(a.iterations.abs_diff(a.wakeups.count()) <= 1, "{a:?}");
        }
    }

    #[test]
    fn a_lost_addition_ends_the_worker() {
        let board = &map_shared::<Board>(1).expect("maps")[0];
        let slot = &map_shared::<WorkerSlot>(1).expect("maps")[0];
        let pair = &map_shared::<PairSlot>(1).expect("maps")[0];
        // Two were added and one is there.
        pair.counter.store(1, Ordering::Release);
        pair.added.store(2, Ordering::Release);
        assert_eq!(racy_counter(Recorder::new(board, slot, sample), pair, 0), UPDATE_LOST);
    }

    #[test]
    fn a_broken_pipe_ends_the_worker() {
        let (read, _) = rustix::pipe::pipe().expect("a pipe");
        let (_, write) = rustix::pipe::pipe().expect("a pipe");
        let board = &map_shared::<Board>(1).expect("maps")[0];
        let slot = &map_shared::<WorkerSlot>(1).expect("maps")[0];
        let recorder = Recorder::new(board, slot, sample);
        assert_eq!(pipe_ping_pong(recorder, &read, &write, false), PIPE_FAILED);
    }
}
