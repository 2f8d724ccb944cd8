//! A guest's kernel at the moment at which something was over: what each CPU did, who waited where, and the scheduler's own maps.

use crate::sample::Sample;
use crate::GuestNanos;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that the host could read; the rest is named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dump {
    /// When, by the guest's own clock.
    pub at: GuestNanos,
    /// CPUs, in ascending order; none: their registers could not be asked for.
    pub cpus: Vec<CpuDump>,
    /// Runqueues, sched_ext, all tasks.
    pub sample: Sample,
    /// Dispatch queues that have tasks, local ones among them.
    pub dsqs: Vec<DsqDump>,
    /// BPF maps, in the order of their numbers.
    pub maps: Vec<MapDump>,
    /// What could not be read, and why.
    pub missing: Vec<String>,
}

/// A CPU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuDump {
    /// Its number.
    pub cpu: u32,
    /// Registers by their names.
    pub registers: Vec<(String, u64)>,
    /// Whether it takes interrupts.
    pub interrupts: bool,
    /// Whether it waits for one.
    pub halted: bool,
    /// Whether it is in user space; then it has no backtrace.
    pub user: bool,
    /// Where it is in the kernel, then its callers.
    pub backtrace: Vec<FrameDump>,
}

/// A place in the guest's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameDump {
    /// Address of an instruction.
    pub at: u64,
    /// Function and offset, `schedule+0x27`; none: no symbol is there.
    pub name: Option<String>,
}

/// Tasks of a dispatch queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DsqDump {
    /// Its number.
    pub id: u64,
    /// Its CPU, if it is a local one.
    pub cpu: Option<u32>,
    /// Thread ids, in the order of the queue.
    pub pids: Vec<i32>,
    /// Whether those are all.
    pub complete: bool,
}

/// A BPF map.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MapDump {
    /// Its name.
    pub name: String,
    /// Its number.
    pub id: u32,
    /// Elements that are shown.
    pub elements: Vec<ElementDump>,
    /// Number of elements that are not.
    pub more: u64,
}

/// An element of a map.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ElementDump {
    /// Its key, as far as it is told by one: of an array the index.
    pub key: String,
    /// The CPU whose value it is, if each has its own.
    pub cpu: Option<u32>,
    /// Fields by their paths and what is in them. A value without a type has one field without a name.
    pub fields: Vec<(String, String)>,
}

impl fmt::Display for FrameDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.at),
        }
    }
}
