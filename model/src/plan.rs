//! What the guest is told to do: everything resolved, nothing left to choose.
//!
//! Cgroups, worker groups and workers are numbered over the whole case; the guest refers to them by number only.

use crate::spec::{CpuMaxSpec, Fault};
use crate::work::{Policy, Work};
use crate::{CpuSet, Nanos, SchedulerPlan, TraceEvent};
use serde::{Deserialize, Serialize};

/// Most workers of a case.
pub const WORKERS_MAX: u32 = 4096;
/// Most segments of a case.
pub const SEGMENTS_MAX: u32 = 4096;

/// The orders of a case.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Varies when things happen in the guest.
    pub seed: u64,
    /// Every cgroup that is ever created, parents before children.
    pub cgroups: Vec<CgroupPlan>,
    /// Every worker group that is ever started. Their worker ids follow one another without holes.
    pub groups: Vec<GroupPlan>,
    /// Steps, one after another.
    pub steps: Vec<StepPlan>,
    /// What the kernel writes down meanwhile.
    #[serde(default)]
    pub trace: Vec<TraceEvent>,
    /// The scheduler under test; none: the kernel's own.
    #[serde(default)]
    pub scheduler: Option<SchedulerPlan>,
}

/// A cgroup as it is created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// As the user named it.
    pub name: String,
    /// Index of the cgroup it is nested in.
    pub parent: Option<u32>,
    /// `cpuset.cpus`; none: those of the parent.
    pub cpus: Option<CpuSet>,
    /// `cpu.weight`.
    pub weight: Option<u32>,
    /// `cpu.max`.
    pub cpu_max: Option<CpuMaxSpec>,
}

/// Workers of one kind in one cgroup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// Index of the cgroup they start in.
    pub cgroup: u32,
    /// Id of the first; the others follow.
    pub first_worker: u32,
    /// How many.
    pub workers: u32,
    /// What each does.
    pub work: Work,
    /// Affinity of each worker, in order; empty: none is set.
    pub affinity: Vec<CpuSet>,
    /// Scheduling policy.
    pub policy: Policy,
    /// Nice value.
    pub nice: i8,
}

impl GroupPlan {
    /// Id after the last.
    fn end(&self) -> u32 {
        self.first_worker.saturating_add(self.workers)
    }
}

/// One step of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepPlan {
    /// In order; ends with a [`Action::Hold`].
    pub actions: Vec<Action>,
}

/// One thing the guest does. All actions up to a hold are applied at once, then the hold is one *segment*: workers keep
/// their counters per segment, so that what happens while actions are applied is not judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Creates a cgroup.
    CreateCgroup(u32),
    /// Stops the workers in a cgroup and removes it.
    RemoveCgroup(u32),
    /// Starts a worker group.
    Start(u32),
    /// Stops the workers that are in a cgroup.
    Stop(u32),
    /// Writes `cpuset.cpus`; an empty set clears it.
    SetCpuset {
        /// Which cgroup.
        cgroup: u32,
        /// Its CPUs.
        cpus: CpuSet,
    },
    /// Writes `cpu.weight`.
    SetWeight {
        /// Which cgroup.
        cgroup: u32,
        /// 1 to 10000.
        weight: u32,
    },
    /// Writes `cpu.max`.
    SetCpuMax {
        /// Which cgroup.
        cgroup: u32,
        /// None: no limit.
        cpu_max: Option<CpuMaxSpec>,
    },
    /// Moves all workers.
    MoveTasks {
        /// Where they are.
        from: u32,
        /// Where they go.
        to: u32,
    },
    /// Writes `cgroup.freeze` and waits until `cgroup.events` agrees.
    Freeze {
        /// Which cgroup.
        cgroup: u32,
        /// Frozen or thawed.
        frozen: bool,
    },
    /// Takes a CPU off line or brings it back.
    SetOnline {
        /// Which CPU.
        cpu: u32,
        /// On line or not.
        online: bool,
    },
    /// Makes the guest fail.
    Fault(Fault),
    /// Lets the workers run. Each hold of a case is a segment; segments are numbered from 0 over the whole case.
    Hold {
        /// How long, in guest time.
        duration: Nanos,
        /// What each worker that is alive may do in this segment, in the order of worker ids.
        expect: Vec<WorkerExpectation>,
    },
    /// Tells the scheduler under test to end, and waits until it is gone.
    StopScheduler,
    /// Starts the scheduler under test again, and waits until it is attached.
    StartScheduler {
        /// Its arguments from now on; none: those that it had.
        args: Option<Vec<String>>,
    },
    /// Runs the program of the scheduler under test once more, and waits for its end.
    SchedulerCommand {
        /// Arguments of this run.
        args: Vec<String>,
    },
    /// Waits until the host has done an op. They are numbered from 0 over the whole case, in order.
    Host {
        /// Its number.
        op: u32,
    },
}

/// What holds for a worker in one segment, for the judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerExpectation {
    /// Its id.
    pub worker: u32,
    /// CPUs it may run on: affinity, cpusets of its cgroup and of the parents, CPUs on line.
    pub cpus: CpuSet,
    /// In a frozen cgroup: it is not expected to run.
    pub frozen: bool,
}

impl Plan {
    /// Number of workers of the whole case.
    pub fn workers(&self) -> u32 {
        self.groups.last().map_or(0, GroupPlan::end)
    }

    /// Index of the group that a worker belongs to.
    pub fn group_of(&self, worker: u32) -> Option<usize> {
        self.groups.iter().position(|group| (group.first_worker..group.end()).contains(&worker))
    }

    /// All holds in order: index of the step, duration, expectations. The position is the segment's number.
    pub fn segments(&self) -> impl Iterator<Item = (usize, Nanos, &[WorkerExpectation])> {
        self.steps.iter().enumerate().flat_map(|(step, plan)| {
            plan.actions.iter().filter_map(move |action| match action {
                Action::Hold { duration, expect } => Some((step, *duration, expect.as_slice())),
                _ => None,
            })
        })
    }

    /// Whether no more is in it than a case may have, wherever it comes from.
    pub fn is_within_bounds(&self) -> bool {
        self.groups.iter().all(|group| group.end() <= WORKERS_MAX) && self.segments().count() <= SEGMENTS_MAX as usize
    }

    /// A name for a worker that a person understands: `cpu_spin/3` in cgroup order of its group.
    pub fn worker_name(&self, worker: u32) -> String {
        let group = self.group_of(worker).and_then(|index| self.groups.get(index));
        match group {
            Some(group) => format!("{}/{}", group.work.name(), worker - group.first_worker),
            None => format!("worker {worker}"),
        }
    }
}
