//! The declaration of a test as the user wrote it: `spec.json`, the same tree as in Starlark.
//!
//! Everything that this module accepts is well-formed; whether it makes sense on a topology is decided by
//! [`crate::resolve`].

mod checks;

pub use checks::{ChecksSpec, LatencyBounds, Switch};

use crate::monitor::OfAll;
use crate::scheduler::SchedulerOp;
use crate::topology::TopologySpec;
use crate::units::Nanos;
use crate::work::{Policy, Work};
use crate::{field, Backend, Clock, ExpectedFailure, FieldError, MonitorSpec, SchedulerSpec, StartSpec, TraceEvent};
use serde::{Deserialize, Serialize};

/// Version of the format; another one is refused.
pub const SPEC_VERSION: u32 = 1;

/// One target: its cases are topologies × flag profiles × seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSpec {
    /// [`SPEC_VERSION`].
    pub version: u32,
    /// Name of the target, the first part of each case's name.
    pub name: String,
    /// One or more machines.
    pub topologies: Vec<TopologySpec>,
    /// Steps, one after another.
    pub scenario: Vec<StepSpec>,
    /// The sched_ext scheduler under test; none: the kernel's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<SchedulerSpec>,
    /// Bounds that the test sets.
    #[serde(default)]
    pub checks: ChecksSpec,
    /// The failure that makes a case pass; none: no failure does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_failure: Option<ExpectedFailure>,
    /// Number of seeds: 0, 1, … below this. Not together with `seed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u32>,
    /// One seed. Not together with `seeds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<SeedSpec>,
    /// What runs the machines; none: whoever runs the test chooses before there are cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// What time follows, one for each topology.
    pub clocks: Vec<Clock>,
    /// Where the machines begin.
    #[serde(default, skip_serializing_if = "StartSpec::is_boot")]
    pub start: StartSpec,
    /// Whether each CPU has a CPU of the host for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pin_cpus: bool,
    /// Whether RAM is huge pages of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub huge_pages: bool,
    /// Added to the kernel's command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_args: Vec<String>,
    /// What the host looks at while a case runs; `false`: at nothing. On by default.
    #[serde(default = "monitored", skip_serializing_if = "is_monitored")]
    pub monitor: Switch<MonitorSpec>,
    /// What the kernel writes down while the scenario runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceEvent>,
    /// Whether a filter that matches no case is an error.
    #[serde(default)]
    pub strict_filter: bool,
    /// Whether it is all right that every case is skipped, since the kernel lacks what the scheduler needs.
    #[serde(default)]
    pub may_skip: bool,
}

fn monitored() -> Switch<MonitorSpec> {
    Switch::Flag(true)
}

fn is_monitored(monitor: &Switch<MonitorSpec>) -> bool {
    *monitor == monitored()
}

/// A seed, or the wish for one that Bazel gives (`--runs_per_test`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SeedSpec {
    /// This one.
    Fixed(u64),
    /// `"random"`.
    Named(RandomSeed),
}

/// The word `random`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RandomSeed {
    /// From `TEST_RANDOM_SEED`, or from the host's entropy; printed, so that it can be given back.
    Random,
}

/// Creates cgroups, applies ops in order, then holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
    /// Created before the ops, and alive until an op or the end removes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<CgroupSpec>,
    /// Applied in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<OpSpec>,
    /// How long the step lasts.
    pub hold: HoldSpec,
}

/// A cgroup and its workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupSpec {
    /// Unique among the cgroups that are alive; letters, digits, `_` and `-`.
    pub name: String,
    /// The cgroup it is nested in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// CPUs of its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<CpusetSpec>,
    /// `cpu.weight`, 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// `cpu.max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_max: Option<CpuMaxSpec>,
    /// Worker groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub works: Vec<WorkersSpec>,
}

/// `quota` of CPU time in each `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuMaxSpec {
    /// At least 1ms.
    pub quota: Nanos,
    /// 1ms to 1s.
    pub period: Nanos,
}

/// Workers of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkersSpec {
    /// How many, 1 to [`crate::plan::WORKERS_MAX`] in the whole test.
    pub workers: u32,
    /// What each does.
    pub work: Work,
    /// Where each may run, inside the cgroup's cpuset.
    #[serde(default)]
    pub affinity: AffinitySpec,
    /// Scheduling policy.
    #[serde(default)]
    pub policy: Policy,
    /// Nice value, -20 to 19.
    #[serde(default)]
    pub nice: i8,
}

/// CPUs of a cgroup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum CpusetSpec {
    /// CPUs of one LLC.
    Llc(u32),
    /// CPUs of one NUMA node.
    Numa(u32),
    /// A part of all CPUs, as fractions of their number.
    Range {
        /// First, 0 to 1.
        from: f64,
        /// End, above `from`, to 1.
        to: f64,
    },
    /// Part `index` of `of` equal parts.
    Disjoint {
        /// Below `of`.
        index: u32,
        /// Parts.
        of: u32,
    },
    /// As `Disjoint`, reaching into the next part by `fraction` of a part.
    Overlap {
        /// Below `of`.
        index: u32,
        /// Parts.
        of: u32,
        /// 0 to 1.
        fraction: f64,
    },
    /// These.
    Exact(Vec<u32>),
    /// All but the last `fraction` of the CPUs.
    Holdback(f64),
}

/// Affinity of the workers of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum AffinitySpec {
    /// Whatever the cgroup allows.
    #[default]
    Inherit,
    /// One CPU for all of them.
    Single(u32),
    /// These CPUs for all of them.
    Exact(Vec<u32>),
    /// Worker `i` to the CPUs of LLC `i` modulo the number of LLCs.
    Llc,
}

/// A change while the test runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum OpSpec {
    /// Creates a cgroup and starts its workers.
    AddCgroup(CgroupSpec),
    /// Stops the workers of a cgroup and of those nested in it, and removes them.
    RemoveCgroup(String),
    /// Gives a cgroup other CPUs.
    SetCpuset {
        /// Which.
        cgroup: String,
        /// Its CPUs from now on.
        cpuset: CpusetSpec,
    },
    /// Lets a cgroup use all CPUs of its parent.
    ClearCpuset(String),
    /// Exchanges the CPUs of two cgroups.
    SwapCpusets {
        /// One.
        a: String,
        /// The other.
        b: String,
    },
    /// Starts more workers in a cgroup.
    Spawn {
        /// Where.
        cgroup: String,
        /// Which.
        works: Vec<WorkersSpec>,
    },
    /// Stops the workers of a cgroup.
    Stop(String),
    /// Sets `cpu.weight`.
    SetWeight {
        /// Which.
        cgroup: String,
        /// 1 to 10000.
        weight: u32,
    },
    /// Sets or lifts `cpu.max`.
    SetCpuMax {
        /// Which.
        cgroup: String,
        /// `null` lifts it.
        cpu_max: Option<CpuMaxSpec>,
    },
    /// Moves all workers from one cgroup to another.
    MoveTasks {
        /// Where they are.
        from: String,
        /// Where they go.
        to: String,
    },
    /// Freezes a cgroup.
    Freeze(String),
    /// Thaws a cgroup.
    Thaw(String),
    /// Takes CPUs off line.
    CpuOffline(Vec<u32>),
    /// Brings CPUs on line.
    CpuOnline(Vec<u32>),
    /// Changes the scheduler under test.
    Scheduler(SchedulerOp),
    /// Makes the guest fail, to see how that is reported.
    Fault(Fault),
    /// Reads a variable of a scheduler, by the names of a [`crate::monitor::SeriesSpec`].
    ReadMap {
        /// Name of the map.
        map: String,
        /// Path to a number in the value.
        #[serde(default)]
        field: String,
        /// Key of the element.
        key: Option<u64>,
        /// What is taken of several numbers.
        of_all: Option<OfAll>,
        /// What it has to be.
        expect: Option<i128>,
    },
    /// Writes it; of a map with a value for each CPU, or without a `key`, all of them.
    WriteMap {
        /// Name of the map.
        map: String,
        /// Path to a number in the value.
        #[serde(default)]
        field: String,
        /// Key of the element.
        key: Option<u64>,
        /// What it becomes.
        value: i128,
    },
    /// Reads a variable of the kernel, by the names of a [`crate::host_op::KernelVariable`].
    ReadKernel {
        /// Its symbol.
        symbol: String,
        /// Path to a number in it.
        #[serde(default)]
        field: String,
        /// Its type, where BTF does not say it.
        of_type: Option<String>,
        /// Of which CPU.
        cpu: Option<u32>,
        /// What it has to be.
        expect: Option<i128>,
    },
    /// Writes it.
    WriteKernel {
        /// Its symbol.
        symbol: String,
        /// Path to a number in it.
        #[serde(default)]
        field: String,
        /// Its type, where BTF does not say it.
        of_type: Option<String>,
        /// Of which CPU.
        cpu: Option<u32>,
        /// What it becomes.
        value: i128,
    },
}

/// A failure of the guest on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The kernel panics (SysRq-C).
    Panic,
    /// All CPUs stop answering; one loops with interrupts off.
    Hang,
    /// The guest restarts.
    Reboot,
    /// The guest switches itself off before the scenario has ended.
    PowerOff,
    /// A worker leaves its cgroup and may run anywhere, behind the back of the plan.
    Escape,
    /// Fills the memory and leaves files, a cgroup, a sysctl and a task that hangs behind; the guest goes on.
    Litter,
}

/// How long a step lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum HoldSpec {
    /// Seconds of guest time, above 0, to 3600.
    Seconds(f64),
    /// Applies ops, waits, and so on.
    Loop {
        /// Applied each time, in order.
        ops: Vec<OpSpec>,
        /// Wait after each time.
        every: Nanos,
        /// 1 to 1000.
        times: u32,
    },
}

impl TestSpec {
    /// Reads a declaration.
    ///
    /// # Errors
    /// The first thing that is not of the form, with its path and the nearest known name.
    pub fn from_json(json: &str) -> Result<Self, FieldError> {
        let spec: Self = field::from_json(json)?;
        if spec.version != SPEC_VERSION {
            let problem = format!("{} is not a version this runner reads", spec.version);
            return Err(FieldError::new("version", problem).hint(format!("it reads {SPEC_VERSION}")));
        }
        Ok(spec)
    }

    /// Prints the declaration; [`Self::from_json`] reads it back.
    pub fn to_json(&self) -> String {
        // Plain data with string keys: there is nothing that JSON cannot hold but NaN, which no parsed number is.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
