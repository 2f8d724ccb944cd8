//! Memory that the agent and its workers share: what is in it, and how it is mapped.
//!
//! ```text
//! Board       1             written by the agent: which segment runs, since when
//! Gate        a group       written by the agent: opened when the group may start
//! WorkerSlot  a worker      written by that worker, read by the agent
//! PairSlot    a pair        written by its two workers
//! ```
//!
//! Everything is an atomic, so that a process that stops at any point leaves valid values behind.

#![allow(unsafe_code)]

use ktstr_model::cpuset::CPUS_MAX;
use ktstr_model::event::LATENCY_BUCKETS;
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Words of a CPU bitmap.
pub const CPU_WORDS: usize = CPUS_MAX as usize / 64;

/// What the agent tells all workers.
#[repr(C, align(64))]
pub struct Board {
    /// `2 n + 1` while actions are applied before segment `n`, `2 n + 2` while segment `n` runs.
    pub segment: AtomicU32,
    /// Start of the segment in guest time; valid while one runs.
    pub segment_start: AtomicU64,
}

/// Where the workers of a group wait until everything is set that must hold before they run.
#[repr(C, align(64))]
pub struct Gate {
    /// Futex: 0 closed, 1 open.
    pub open: AtomicU32,
    /// When it was opened, in guest time.
    pub opened_at: AtomicU64,
}

/// What the two workers of a pair share: those that wake each other the turn, those that race the counter.
#[repr(C, align(64))]
pub struct PairSlot {
    /// Futex: 0 or 1, whose turn it is.
    pub turn: AtomicU32,
    /// When the turn was passed, in guest time.
    pub passed_at: AtomicU64,
    /// Loaded and stored.
    pub counter: AtomicU64,
    /// How often it was stored.
    pub added: AtomicU64,
}

/// A longest gap.
#[repr(C)]
pub struct GapSlot {
    /// Nanoseconds.
    pub length: AtomicU64,
    /// Its end, in guest time.
    pub at: AtomicU64,
    /// CPU at its end.
    pub cpu: AtomicU32,
}

/// What a worker counted in one segment.
#[repr(C, align(64))]
pub struct SegmentSlot {
    /// Value of [`Board::segment`] that these counters belong to; 0: none.
    pub tag: AtomicU32,
    /// Which of `gaps` is valid, in the lowest bit; changes with each new longest gap.
    pub gap_index: AtomicU32,
    /// Turns of the loop.
    pub iterations: AtomicU64,
    /// Changes of CPU.
    pub migrations: AtomicU64,
    /// The longest gap, and room for the next one.
    pub gaps: [GapSlot; 2],
    /// CPUs it was on.
    pub cpus: [AtomicU64; CPU_WORDS],
    /// Longest wakeup latency.
    pub wakeup_max: AtomicU64,
    /// Counts of `LatencyHistogram`.
    pub wakeups: [AtomicU32; LATENCY_BUCKETS],
}

/// What one worker writes.
#[repr(C, align(64))]
pub struct WorkerSlot {
    /// Last progress in a segment, in guest time.
    pub last_at: AtomicU64,
    /// It asked to sleep until this guest time.
    pub asleep_until: AtomicU64,
    /// Counters of segments with even and odd numbers.
    pub segments: [SegmentSlot; 2],
}

/// Types that are valid when all their bytes are zero, may be shared between processes and hold no pointer.
///
/// # Safety
/// The type consists of atomics only.
pub unsafe trait AtomicsOnly: Sync + 'static {}

// SAFETY: atomics only.
unsafe impl AtomicsOnly for Board {}
// SAFETY: atomics only.
unsafe impl AtomicsOnly for Gate {}
// SAFETY: atomics only.
unsafe impl AtomicsOnly for PairSlot {}
// SAFETY: atomics only.
unsafe impl AtomicsOnly for WorkerSlot {}

/// Maps `count` zeroed values that this process shares with the children it will have. The mapping is never undone.
///
/// # Errors
/// That of mmap(2).
pub fn map_shared<T: AtomicsOnly>(count: usize) -> io::Result<&'static [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    let bytes = count.checked_mul(size_of::<T>()).ok_or_else(|| io::Error::other("size overflows"))?;
    // With all its pages: see `process::keep_in_memory` for why this process must not fault on them later.
    let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::POPULATE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    let start =
        unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
    // SAFETY: the mapping is `bytes` long, page aligned (more than any of the types asks for), zeroed, which is a valid
    // `T` (AtomicsOnly), and is never unmapped.
    Ok(unsafe { std::slice::from_raw_parts(start.cast::<T>(), count) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_child_writes_what_its_parent_reads() {
        let gates = map_shared::<Gate>(3).expect("maps");
        let child = crate::sys::process::spawn(|| {
            gates[2].opened_at.store(7, Ordering::Release);
            5
        });
        let child = child.expect("forks");
        let ended = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty());
        let (_, status) = ended.expect("is a child").expect("has ended");
        assert_eq!(status.exit_status(), Some(5));
        assert_eq!(gates[2].opened_at.load(Ordering::Acquire), 7);
    }

    #[test]
    fn nothing_is_mapped_for_nobody() {
        assert!(map_shared::<WorkerSlot>(0).expect("is empty").is_empty());
    }
}
