//! What a worker does, and under which scheduling policy. Every worker is a process.

use crate::Nanos;
use serde::{Deserialize, Serialize};

/// The loop a worker runs. One turn of it is one iteration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Work {
    /// Spins without a system call.
    CpuSpin,
    /// Calls `sched_yield` after a few microseconds of spinning.
    YieldHeavy,
    /// Spins for `burst` of its own CPU time, then sleeps for `sleep`; its wakeup latency is how late the timer woke it.
    Bursty {
        /// CPU time a turn.
        burst: Nanos,
        /// Sleep a turn.
        sleep: Nanos,
    },
    /// Workers in pairs that pass a byte to and fro through pipes; wakeup latency is from write to return of read.
    PipePingPong,
    /// Workers in pairs that wake each other through a futex; wakeup latency is from wake to return of wait.
    FutexPingPong,
    /// Workers in pairs that add to a counter without a lock, each after a sleep; one that sees that an addition was lost ends
    /// with [`UPDATE_LOST`]. A planted race, to see that seeds find it.
    RacyCounter,
}

/// Exit status of a [`Work::RacyCounter`] worker that has seen a lost addition.
pub const UPDATE_LOST: i32 = 103;

impl Work {
    /// Name of the work type, as users write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CpuSpin => "cpu_spin",
            Self::YieldHeavy => "yield_heavy",
            Self::Bursty { .. } => "bursty",
            Self::PipePingPong => "pipe_ping_pong",
            Self::FutexPingPong => "futex_ping_pong",
            Self::RacyCounter => "racy_counter",
        }
    }

    /// Workers belong together in groups of this many.
    pub fn group_size(&self) -> u32 {
        match self {
            Self::PipePingPong | Self::FutexPingPong | Self::RacyCounter => 2,
            Self::CpuSpin | Self::YieldHeavy | Self::Bursty { .. } => 1,
        }
    }

    /// Whether workers block, so that they have wakeup latencies.
    pub fn blocks(&self) -> bool {
        match self {
            Self::Bursty { .. } | Self::PipePingPong | Self::FutexPingPong | Self::RacyCounter => true,
            Self::CpuSpin | Self::YieldHeavy => false,
        }
    }
}

/// Scheduling policy of a worker, sched(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Policy {
    /// `SCHED_OTHER`.
    #[default]
    Other,
    /// `SCHED_BATCH`.
    Batch,
    /// `SCHED_IDLE`.
    Idle,
    /// `SCHED_FIFO` with a priority of 1 to 98; 99 is the agent's.
    Fifo(u8),
    /// `SCHED_RR` with a priority of 1 to 98; 99 is the agent's.
    Rr(u8),
}
