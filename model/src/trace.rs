//! Tracing: what a test asks the guest's kernel to write down, and how it comes back.
//!
//! ```text
//! spec.trace ──resolve──▶ plan.trace ──agent──▶ tracepoint on; after the last step: What::Switches, What::SwitchesEnded
//! ```
//!
//! Nothing is traced unless a test asks for it: a tracepoint takes time of the CPUs that it watches.

use crate::GuestNanos;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A tracepoint, by the name that the kernel has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceEvent {
    /// Each context switch of each CPU.
    SchedSwitch,
}

impl TraceEvent {
    /// As the kernel and users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SchedSwitch => "sched_switch",
        }
    }
}

/// Context switches of one CPU, in order; a part of all that it made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuSwitches {
    /// The CPU.
    pub cpu: u32,
    /// Oldest first.
    pub switches: Vec<Switch>,
}

/// One context switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// When.
    pub at: GuestNanos,
    /// What ran until then.
    pub prev: Task,
    /// Whether it could have run on: it was preempted, or gave the CPU away, and does not wait for anything.
    pub prev_runnable: bool,
    /// What runs from then on.
    pub next: Task,
}

/// What runs on a CPU.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Task {
    /// A worker, by its number in the plan.
    Worker(u32),
    /// Anything else.
    Other {
        /// Process id; 0: the CPU is idle.
        pid: u32,
        /// Its name.
        comm: String,
    },
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(worker) => write!(f, "worker {worker}"),
            Self::Other { pid: 0, .. } => f.write_str("idle"),
            Self::Other { pid, comm } => write!(f, "{comm}:{pid}"),
        }
    }
}

/// How much was recorded of one CPU; follows its last [`CpuSwitches`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuSwitchCount {
    /// The CPU.
    pub cpu: u32,
    /// Switches that were sent.
    pub recorded: u64,
    /// Switches for which the kernel's buffer had no room.
    pub dropped: u64,
}
