//! What the plan has set by each hold: where workers are, weights and limits of cgroups.

use ktstr_model::plan::Action;
use ktstr_model::Plan;

/// `cpu.weight` of a cgroup for which none is set.
const WEIGHT_DEFAULT: u32 = 100;

/// What holds during one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Index of the cgroup of each worker; none: it was not started.
    workers: Vec<Option<u32>>,
    /// Of each cgroup.
    cgroups: Vec<CgroupSettings>,
}

/// Of a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CgroupSettings {
    pub(crate) weight: u32,
    /// Whether it has a `cpu.max`.
    pub(crate) limited: bool,
}

impl Settings {
    /// Those of each segment, and at last those after all actions.
    pub(crate) fn of(plan: &Plan) -> Vec<Self> {
        let cgroups = plan.cgroups.iter().map(|cgroup| CgroupSettings {
            weight: cgroup.weight.unwrap_or(WEIGHT_DEFAULT),
            limited: cgroup.cpu_max.is_some(),
        });
        let mut now = Self { workers: vec![None; plan.workers() as usize], cgroups: cgroups.collect() };
        let mut all = Vec::new();
        for action in plan.steps.iter().flat_map(|step| &step.actions) {
            match action {
                Action::Hold { .. } => all.push(now.clone()),
                action => now.apply(plan, action),
            }
        }
        all.push(now);
        all
    }

    fn apply(&mut self, plan: &Plan, action: &Action) {
        match action {
            Action::Start(index) => {
                let Some(group) = plan.groups.get(*index as usize) else { return };
                let workers = self.workers.iter_mut().skip(group.first_worker as usize).take(group.workers as usize);
                workers.for_each(|cgroup| *cgroup = Some(group.cgroup));
            }
            Action::MoveTasks { from, to } => {
                self.workers.iter_mut().filter(|cgroup| **cgroup == Some(*from)).for_each(|cgroup| *cgroup = Some(*to));
            }
            Action::SetWeight { cgroup, weight } => {
                self.cgroups.get_mut(*cgroup as usize).into_iter().for_each(|settings| settings.weight = *weight);
            }
            Action::SetCpuMax { cgroup, cpu_max } => {
                let limited = cpu_max.is_some();
                self.cgroups.get_mut(*cgroup as usize).into_iter().for_each(|settings| settings.limited = limited);
            }
            _ => {}
        }
    }

    /// Index of the cgroup that a worker is in.
    pub(crate) fn cgroup_of(&self, worker: u32) -> Option<u32> {
        self.workers.get(worker as usize).copied().flatten()
    }

    /// Whether any cgroup has a `cpu.max`.
    pub(crate) fn limited(&self) -> bool {
        self.cgroups.iter().any(|cgroup| cgroup.limited)
    }

    /// What is set for a cgroup.
    pub(crate) fn cgroup(&self, index: u32) -> Option<CgroupSettings> {
        self.cgroups.get(index as usize).copied()
    }
}
