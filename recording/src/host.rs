//! What the host saw of a machine. None of it is part of what a replay is compared by.

pub use ktstr_channel::layout::{EXIT_FAILED, EXIT_FINISHED, EXIT_NO_WINDOW};
use ktstr_model::host_op::HostOpResult;
use ktstr_model::{Dump, GuestNanos};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Time of the host's monotonic clock since the case was begun, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostNanos(pub u64);

/// Something that the host did or saw. New kinds go to the end: recordings store the position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostEvent {
    /// The machine was started.
    MachineStarted {
        /// What runs it, with its version.
        backend_version: String,
        /// The kernel's command line.
        command_line: String,
    },
    /// The guest showed its first sign of life.
    GuestStarted,
    /// The machine has ended or was ended. Once at most.
    Ended(Ending),
    /// The guest's messages were damaged or lost. The rest may still be there.
    ChannelProblem {
        /// Position in the guest's messages.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// The host could not do its part.
    HostFailed {
        /// What it was about to do: "make the window".
        doing: String,
        /// What went wrong.
        problem: String,
    },
    /// The guest began with the first step of its plan.
    ScenarioStarted,
    /// What the host took from the machine's CPUs, in the order of their numbers, since the guest began with the first step of its plan, or, if
    /// it did not, since the machine was started. Under the real clock only, once, right before the end.
    Steal(Vec<CpuSteal>),
    /// The guest's kernel was found in its memory, and is looked at from now on. Once at most, before the first sample.
    Monitored {
        /// How far KASLR has moved its addresses; 0: it is where it was linked.
        slide: u64,
        /// Names of the events of sched_ext, in the order of their counts in samples.
        events: Vec<String>,
        /// What this kernel lacks: `sched_ext: before scx_root`. Checks that need it have nothing to look at.
        absent: Vec<String>,
    },
    /// The guest's kernel could not be looked at, and why. The case goes on.
    Unmonitored {
        /// Why not.
        problem: String,
    },
    /// The guest's kernel when the machine hung or its scheduler had died. Boxed, since most events are small.
    Dump(Box<Dump>),
    /// A series of the case cannot be read as it is declared, and why. Once for each, before its first sample with `unreadable`.
    SeriesUnreadable {
        /// Its name.
        series: String,
        /// Why not: `.bss` has no such variable.
        problem: String,
    },
    /// An op of the host was done, or could not be, while the guest waited.
    Op {
        /// Its number.
        op: u32,
        /// When, in guest time; none: the kernel was not found.
        at: Option<GuestNanos>,
        /// What became of it.
        result: HostOpResult,
    },
}

/// What the host took from a CPU: the time in which the CPU's thread could have run and the host ran something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuSteal {
    /// Which.
    pub cpu: u32,
    /// All of it, in nanoseconds.
    pub total_ns: u64,
    /// At once: the longest stretch is no longer than this. The host is asked every few milliseconds, and several short ones in
    /// between count as one.
    pub longest_ns: u64,
    /// Guest time at the end of that, as the host reckons it; none: the guest had not said anything, or nothing was taken.
    pub longest_at: Option<GuestNanos>,
}

/// Why a machine ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The guest ended it with an exit code: [`EXIT_FINISHED`], [`EXIT_FAILED`] or [`EXIT_NO_WINDOW`].
    Guest {
        /// The code.
        code: u8,
    },
    /// The guest switched itself off.
    PowerOff,
    /// The guest restarted.
    Reboot,
    /// A fault while a double fault was handled.
    TripleFault,
    /// The kernel panicked.
    Panic {
        /// What it said.
        message: String,
    },
    /// No heartbeat for too long, though the machine used its CPUs or could have.
    Hang {
        /// CPU time of the host since the last heartbeat, in milliseconds.
        cpu_ms: u64,
        /// What each CPU was doing; empty if it cannot be known.
        cpus: Vec<CpuState>,
    },
    /// The guest's first stage never came up.
    BootTimeout {
        /// CPU time of the host since the start, in milliseconds.
        cpu_ms: u64,
    },
    /// What runs the machine could not start or ended by itself.
    EmulatorFailed {
        /// Exit status, signal, or what could not be done.
        status: String,
        /// The last that it said.
        log: String,
    },
    /// The runner was told to stop, or its time was up.
    Interrupted {
        /// By what.
        reason: String,
    },
}

/// What a CPU was doing when its machine was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuState {
    /// Which.
    pub cpu: u32,
    /// Instruction pointer.
    pub instruction: u64,
    /// Whether it takes interrupts.
    pub interrupts: bool,
    /// Whether it waits for one.
    pub halted: bool,
    /// Whether it is in user space.
    pub user: bool,
}

impl fmt::Display for CpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, instruction, .. } = self;
        let mode = if self.user { "user space" } else { "the kernel" };
        let interrupts = if self.interrupts { "on" } else { "off" };
        match self.halted {
            true => write!(f, "CPU {cpu}: halted, interrupts {interrupts}"),
            false => write!(f, "CPU {cpu}: in {mode} at {instruction:#x}, interrupts {interrupts}"),
        }
    }
}
