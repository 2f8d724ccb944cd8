//! What the host sees of the guest's kernel at one time: numbers as the kernel has them, never judgements.
//!
//! A sample is taken from outside, through guest memory, and the guest does nothing for it. Under the virtual clock the guest stands still meanwhile,
//! and equal runs give equal samples. Under the real clock it goes on; what changed while it was read is left out and counted in [`Sample::torn`].

use crate::CpuSet;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kernel at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// CPUs on line, in ascending order, without those that could not be read.
    pub cpus: Vec<CpuSample>,
    /// How many could not be read, or 1 at least if it is not known which are on line: what is said of all CPUs is then not known.
    pub unread: u32,
    /// sched_ext; none: the kernel has none, or one of before `scx_root`.
    pub scx: Option<ScxSample>,
    /// Tasks; none: this sample does not look at them.
    pub tasks: Option<TasksSample>,
    /// Scheduling domains of all CPUs, where it looks at tasks, too: those that differ from what was said of them before.
    pub domains: Vec<DomainSample>,
    /// Values of the series that the case asks for, in its order.
    pub series: Vec<SeriesValue>,
    /// How many things changed while they were read, or could not be, and are left out.
    pub torn: u32,
}

/// A CPU and its runqueue (`struct rq`, kernel/sched/sched.h).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuSample {
    /// Its number.
    pub cpu: u32,
    /// Runnable tasks of all classes, the current one among them, but none that sleep and that EEVDF still has in its queue.
    pub nr_running: u32,
    /// Its clock in nanoseconds; it may stand while the CPU is idle.
    pub clock: u64,
    /// Process id of the task that it runs; 0: it is idle.
    pub curr: i32,
    /// Name of that task.
    pub comm: String,
    /// Time that its tasks have waited, in nanoseconds (`rq_sched_info.run_delay`).
    pub run_delay: u64,
    /// How often a task began to run (`rq_sched_info.pcount`).
    pub runs: u64,
    /// Its part of sched_ext, if the kernel has that.
    pub scx: Option<ScxCpuSample>,
}

/// A CPU's part of sched_ext (`struct scx_rq`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScxCpuSample {
    /// Runnable tasks of sched_ext.
    pub nr_running: u32,
    /// `SCX_RQ_*`.
    pub flags: u32,
    /// Tasks in the local dispatch queue.
    pub local_dsq_nr: u32,
}

/// A scheduling domain of a CPU (`struct sched_domain`). A CPU's domains are said together, the smallest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DomainSample {
    /// The CPU whose domain it is.
    pub cpu: u32,
    /// The kernel's name of the level: `SMT`, `MC`, `PKG`, `NUMA`.
    pub name: String,
    /// CPUs over which it balances.
    pub span: CpuSet,
    /// `SD_*`.
    pub flags: u32,
    /// From one balancing to the next, in milliseconds.
    pub balance_interval: u32,
    /// How often in a row balancing has moved nothing though it should.
    pub nr_balance_failed: u32,
    /// When it was balanced last, in jiffies.
    pub last_balance: u64,
}

/// sched_ext as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScxSample {
    /// Name of the state, without `SCX_` and in lower case: `enabled`.
    pub state: String,
    /// Why the scheduler is taken out (`enum scx_exit_kind`); 0: it is not.
    pub exit_kind: u32,
    /// Counts of events since the scheduler was attached, in the order of `HostEvent::Monitored`; empty without a scheduler.
    pub events: Vec<u64>,
    /// Dispatch queues that are not local ones: global ones and the scheduler's own.
    pub dsqs: Vec<DsqSample>,
    /// Whether some of them could not be read.
    pub torn: bool,
}

/// A dispatch queue (`struct scx_dispatch_q`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DsqSample {
    /// Its number; with [`DSQ_BUILTIN`] one of the kernel's.
    pub id: u64,
    /// Tasks in it.
    pub nr: u32,
    /// How long the first task has waited, in nanoseconds; none: there is none, or it cannot be told.
    pub head_wait: Option<u64>,
}

/// `SCX_EXIT_ERROR`: exits from here on are failures.
pub const EXIT_ERROR: u32 = 1024;
/// `SCX_DSQ_FLAG_BUILTIN`.
pub const DSQ_BUILTIN: u64 = 1 << 63;

/// Tasks: those that differ from what was said of them before. A task of which nothing is said is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TasksSample {
    /// New ones and changed ones. One that waits always counts as changed.
    pub tasks: Vec<TaskSample>,
    /// Process ids of those that are no longer there.
    pub gone: Vec<i32>,
    /// Whether the walk saw all tasks; if not, nothing is said of who is gone.
    pub complete: bool,
}

/// A task of the guest, a kernel thread or not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskSample {
    /// Its thread id (`task_struct.pid`).
    pub pid: i32,
    /// Its process id.
    pub tgid: i32,
    /// Its name.
    pub comm: String,
    /// Whether it is a kernel thread.
    pub is_kernel: bool,
    /// CPU that it runs on or belongs to.
    pub cpu: u32,
    /// Whether it runs.
    pub on_cpu: bool,
    /// Scheduling policy, `SCHED_*` of include/uapi/linux/sched.h.
    pub policy: u32,
    /// Nice value (`static_prio` without 120).
    pub nice: i8,
    /// CPUs that it may use.
    pub allowed: CpuSet,
    /// How long it has waited for a CPU, in nanoseconds, by the clock of its runqueue; none: it does not wait.
    pub waiting: Option<u64>,
    /// Why it could not run even on a CPU of its own; none: nothing is in its way.
    pub held: Option<Held>,
    /// Time that it has waited in all, in nanoseconds (`sched_info.run_delay`).
    pub run_delay: u64,
    /// How often it began to run (`sched_info.pcount`).
    pub runs: u64,
    /// Time that it has run, in nanoseconds (`se.sum_exec_runtime`).
    pub runtime: u64,
    /// The dispatch queue that it is in; none: in none.
    pub dsq: Option<u64>,
}

/// Why a task that waits may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Its cgroup, or one above, has used up its `cpu.max`.
    Throttled,
    /// Its cgroup is frozen.
    Frozen,
    /// No CPU that it may use is on line.
    NoCpu,
}

impl Sample {
    /// Runnable tasks of all CPUs.
    pub fn nr_running(&self) -> u64 {
        self.cpus.iter().map(|cpu| u64::from(cpu.nr_running)).sum()
    }

    /// By how many runnable tasks the CPU with the most has more than that with the fewest, and the first that has the most; none without CPUs.
    pub fn imbalance(&self) -> Option<(u32, &CpuSample)> {
        let most = self.cpus.iter().rev().max_by_key(|cpu| cpu.nr_running)?;
        let least = self.cpus.iter().map(|cpu| cpu.nr_running).min()?;
        Some((most.nr_running - least, most))
    }
}

/// A dispatch queue, as reports call it: `DSQ 0x7`, and of the kernel's own `DSQ 1 of the kernel`.
pub fn dsq_name(id: u64) -> String {
    match id & DSQ_BUILTIN {
        0 => format!("DSQ {id:#x}"),
        _ => format!("DSQ {} of the kernel", id & !DSQ_BUILTIN),
    }
}

/// The value of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesValue {
    /// A number; unsigned 64-bit ones as they are, and sums cut to what those or signed ones can say.
    Number(i128),
    /// There is no such map yet, or no longer.
    NoMap,
    /// The map has no such element.
    NoElement,
    /// It could not be read.
    Unreadable,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "its cgroup has used up its cpu.max",
            Self::Frozen => "its cgroup is frozen",
            Self::NoCpu => "no CPU that it may use is on line",
        })
    }
}
