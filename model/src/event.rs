//! What the guest reports: facts, never judgements.

use crate::scheduler::{KernelLine, OutputLine, SchedExtState, SchedulerOverdue};
use crate::trace::{CpuSwitchCount, CpuSwitches};
use crate::CpuSet;
use serde::{Deserialize, Serialize};

/// Guest time: `CLOCK_MONOTONIC`, nanoseconds since the guest booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct GuestNanos(pub u64);

/// Something that happened in the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in guest time.
    pub at: GuestNanos,
    /// What.
    pub what: What,
}

/// Kinds of events. New kinds go to the end: recordings store the position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// Stage one is up: what the guest sees of its machine.
    Booted(SeenMachine),
    /// The agent has read its plan and starts with it.
    Ready,
    /// A step's first action is about to be applied.
    StepStarted {
        /// Index of the step.
        step: u32,
    },
    /// A hold begins: workers run and are counted.
    SegmentStarted {
        /// Number of the segment, over the whole case.
        segment: u32,
    },
    /// A hold has ended; reports of its workers follow.
    SegmentEnded {
        /// Number of the segment.
        segment: u32,
    },
    /// What a worker did in a segment.
    Worker(WorkerReport),
    /// A worker ended that should not have.
    WorkerDied {
        /// Its id.
        worker: u32,
        /// Wait status as wait(2) gives it.
        status: i32,
    },
    /// The guest could not do what it was told: an infrastructure failure, not the scheduler's.
    Failed(GuestFailure),
    /// All steps are done.
    Finished,
    /// Context switches of one CPU, if the plan asks for them; sent after the last step.
    Switches(CpuSwitches),
    /// Those were all context switches of one CPU.
    SwitchesEnded(CpuSwitchCount),
    /// The process of the scheduler under test was started.
    SchedulerStarted {
        /// Its process id.
        pid: u32,
    },
    /// What the kernel says of sched_ext has changed, or is told for the first time.
    SchedExt(SchedExtState),
    /// The scheduler printed a line.
    SchedulerOutput(OutputLine),
    /// The scheduler was told to end.
    SchedulerSignalled {
        /// By which signal.
        signal: i32,
    },
    /// The process of the scheduler has ended.
    SchedulerExited {
        /// Wait status as wait(2) gives it.
        status: i32,
    },
    /// A line of the kernel's log that is about sched_ext or is a warning or worse; only in cases with a scheduler.
    KernelLog(KernelLine),
    /// The guest has waited for the scheduler as long as it may.
    SchedulerOverdue(SchedulerOverdue),
    /// The guest does not go on with the plan: the scheduler under test is not there. Comes in place of [`Self::Finished`].
    BrokenOff,
    /// A line of the kernel's dump of a scheduler that it throws out.
    SchedExtDump {
        /// The line.
        line: String,
    },
    /// The shell has ended, or its command; only in a machine with a shell.
    ShellExited {
        /// Wait status as wait(2) gives it.
        status: i32,
    },
    /// The program of the scheduler was run once more, and has ended well.
    SchedulerCommand {
        /// Its arguments.
        args: Vec<String>,
        /// What it has printed last.
        output: Vec<String>,
    },
    /// The guest waits for an op of the host.
    HostOp {
        /// Its number.
        op: u32,
    },
}

/// The machine as the guest's sysfs shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SeenMachine {
    /// `uname -r`.
    pub release: String,
    /// CPUs that are on line, in ascending order.
    pub cpus: Vec<SeenCpu>,
    /// NUMA nodes that are on line, in ascending order.
    pub nodes: Vec<SeenNode>,
    /// Current clock source.
    pub clocksource: String,
}

/// A CPU as sysfs shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SeenCpu {
    /// CPU number.
    pub cpu: u32,
    /// `topology/physical_package_id`.
    pub package: i32,
    /// `topology/thread_siblings_list`.
    pub siblings: CpuSet,
    /// `shared_cpu_list` of the cache of the highest level; empty if none is shown.
    pub llc: CpuSet,
}

/// A NUMA node as sysfs shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SeenNode {
    /// Node number.
    pub node: u32,
    /// `cpulist`.
    pub cpus: CpuSet,
    /// `distance`, to each node on line.
    pub distances: Vec<u32>,
    /// `MemTotal` of the node, in KiB. The kernel keeps some of the memory back for itself.
    pub memory_kib: u64,
}

/// What a worker did in one segment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its id.
    pub worker: u32,
    /// The segment.
    pub segment: u32,
    /// Turns of its loop.
    pub iterations: u64,
    /// CPU time used, in nanoseconds (`CLOCK_PROCESS_CPUTIME_ID`).
    pub cpu_ns: u64,
    /// Time it was runnable and did not run, in nanoseconds (`/proc/<pid>/schedstat`).
    pub run_delay_ns: u64,
    /// Longest time between two iterations, sleep that it asked for left out, in nanoseconds.
    pub gap_max_ns: u64,
    /// End of that gap, in guest time.
    pub gap_max_at: u64,
    /// CPU on which that gap ended.
    pub gap_max_cpu: u32,
    /// How often it found itself on another CPU than before.
    pub migrations: u64,
    /// CPUs it found itself on.
    pub cpus: CpuSet,
    /// Wakeup latencies; empty where the work does not block.
    pub wakeups: LatencyHistogram,
}

/// A histogram of nanoseconds: 32 linear buckets for each power of two, so that a value is known to 1/32.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencyHistogram {
    /// Buckets that are not empty: index and count, ascending.
    pub buckets: Vec<(u16, u64)>,
    /// The largest value, exactly.
    pub max_ns: u64,
}

/// Buckets of each power of two.
const SUB_BUCKETS: u64 = 32;
/// Number of buckets of a [`LatencyHistogram`].
pub const LATENCY_BUCKETS: usize = 60 * SUB_BUCKETS as usize;

impl LatencyHistogram {
    /// Bucket of a value.
    pub fn bucket_of(ns: u64) -> usize {
        if ns < SUB_BUCKETS {
            return ns as usize;
        }
        let shift = 63 - ns.leading_zeros() - SUB_BUCKETS.trailing_zeros();
        (u64::from(shift) * SUB_BUCKETS + (ns >> shift)) as usize
    }

    /// Largest value that falls into a bucket. The number may come from a guest: one that is too large means the last bucket.
    pub fn bucket_end(bucket: usize) -> u64 {
        let bucket = bucket.min(LATENCY_BUCKETS - 1) as u64;
        if bucket < 2 * SUB_BUCKETS {
            return bucket;
        }
        let shift = bucket / SUB_BUCKETS - 1;
        let mantissa = bucket % SUB_BUCKETS + SUB_BUCKETS;
        (((u128::from(mantissa) + 1) << shift) - 1).min(u128::from(u64::MAX)) as u64
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The value that a part `quantile` (0 to 1) of all values do not exceed, rounded up by at most 1/32; none if empty.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((count as f64 * quantile).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0u64;
        for (bucket, in_bucket) in &self.buckets {
            seen = seen.saturating_add(*in_bucket);
            if seen >= rank {
                return Some(Self::bucket_end(usize::from(*bucket)).min(self.max_ns));
            }
        }
        None
    }

    /// Adds the values of `other`.
    pub fn merge(&mut self, other: &Self) {
        let mut buckets: std::collections::BTreeMap<u16, u64> = self.buckets.iter().copied().collect();
        for (bucket, count) in &other.buckets {
            let sum = buckets.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.buckets = buckets.into_iter().collect();
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

/// Why the guest could not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFailure {
    /// What it was about to do: "create cgroup a".
    pub doing: String,
    /// What went wrong, with the error of the system call.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(values: &[u64]) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::default();
        for value in values {
            let bucket = LatencyHistogram::bucket_of(*value) as u16;
            histogram.merge(&LatencyHistogram { buckets: vec![(bucket, 1)], max_ns: *value });
        }
        histogram
    }

    proptest! {
        #[test]
        fn a_bucket_is_within_a_32nd(ns: u64) {
            let bucket = LatencyHistogram::bucket_of(ns);
            prop_assert!(bucket < LATENCY_BUCKETS);
            let end = LatencyHistogram::bucket_end(bucket);
            prop_assert!(ns <= end && end - ns <= ns / 32, "{} ends at {}", ns, end);
        }

        #[test]
        fn quantiles_are_near(mut values in proptest::collection::vec(1u64..1_000_000_000, 1..100)) {
            values.sort_unstable();
            let median = values[(values.len() - 1) / 2];
            let seen = histogram(&values).quantile(0.5).expect("not empty");
            prop_assert!(seen >= median && seen <= median + median / 32);
            prop_assert_eq!(histogram(&values).quantile(1.0), values.last().copied());
        }
    }

    #[test]
    fn a_bucket_that_cannot_be_is_the_last() {
        let odd = LatencyHistogram { buckets: vec![(u16::MAX, u64::MAX), (7, u64::MAX)], max_ns: 9 };
        assert_eq!(odd.quantile(0.5), Some(9));
        assert_eq!(LatencyHistogram::bucket_end(usize::MAX), u64::MAX);
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(LatencyHistogram::default().quantile(0.5), None);
    }
}
