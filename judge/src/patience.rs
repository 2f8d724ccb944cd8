//! How long a task may wait for a CPU under the load of a case before it counts as starved.
//!
//! A second, in which schedulers bring tasks to other CPUs and kernel threads to their turn; what the clock of the machine blurs; and a turn
//! of everybody, as if all workers of the plan were in front of the task on one CPU: 20 ms each, the longest slice that kernels give by
//! default (`SCX_SLICE_DFL`), and more for those with a larger weight. Behind real-time workers a kernel gives everybody else 50 ms in each
//! second together (its deadline servers). A user's task may be in the cgroup with the smallest weight or the tightest `cpu.max`.

use crate::run::Run;
use ktstr_model::floor::{ClockOfMachine, Measure, Quantity};
use ktstr_model::plan::Action;
use ktstr_model::sample::TaskSample;
use ktstr_model::spec::CpuMaxSpec;
use ktstr_model::work::Policy;
use ktstr_model::{Case, Clock, Plan};

/// The kernel's weight of nice -20 to 19 (`sched_prio_to_weight` in kernel/sched/core.c).
const NICE_WEIGHTS: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501,
    1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
];

const SECOND: f64 = 1e9;
const TURN: f64 = 20e6;
/// A turn of what is not real-time behind what is.
const BEHIND_RT: f64 = 20.0;
/// CPUs up to which it is known what the real clock of the emulator blurs.
const CPUS_KNOWN: f64 = 16.0;
/// `SCHED_FIFO` and `SCHED_RR`; `SCHED_IDLE`, with the kernel's weight of it.
const RT: [u32; 2] = [1, 2];
const IDLE: u32 = 5;
const IDLE_WEIGHT: f64 = 3.0;

/// The kernel's weight of a nice value.
pub(crate) fn nice_weight(nice: i8) -> u32 {
    let index = usize::try_from(i16::from(nice) + 20).unwrap_or_default();
    NICE_WEIGHTS.get(index.min(NICE_WEIGHTS.len() - 1)).copied().unwrap_or_default()
}

/// The load of a case.
pub(crate) struct Patience {
    /// A second and what the clock blurs.
    least: f64,
    /// Number and weight of the workers of each group, cgroups taken into account.
    workers: Vec<(f64, f64)>,
    /// The smallest weight of a cgroup, as a part of the default, and its largest one's.
    cgroups: (f64, f64),
    real_time: bool,
    /// The tightest `cpu.max`: by how much it slows down, and its period.
    limit: (f64, f64),
}

impl Patience {
    pub(crate) fn of(run: &Run<'_>) -> Self {
        let plan = &run.case.plan;
        let weights = plan.cgroups.iter().filter_map(|cgroup| cgroup.weight).chain(set_weights(plan));
        let cgroups = weights.map(|weight| f64::from(weight) / 100.0);
        let cgroups = cgroups.fold((1.0, 1.0), |(least, most): (f64, f64), part| (least.min(part), most.max(part)));
        let weight = |policy, nice| if policy == Policy::Idle { IDLE_WEIGHT } else { f64::from(nice_weight(nice)) };
        let workers = plan.groups.iter();
        let limits = plan.cgroups.iter().filter_map(|cgroup| cgroup.cpu_max).chain(set_limits(plan));
        let slow = |limit: CpuMaxSpec| (limit.period.0 as f64 / limit.quota.0.max(1) as f64, limit.period.0 as f64);
        let limit =
            limits.map(slow).fold((1.0, 0.0), |(slow, long): (f64, f64), next| (slow.max(next.0), long.max(next.1)));
        Self {
            least: SECOND + blurred(run.case),
            workers: workers
                .map(|group| (f64::from(group.workers), weight(group.policy, group.nice) * cgroups.1))
                .collect(),
            cgroups,
            real_time: plan.groups.iter().any(|group| matches!(group.policy, Policy::Fifo(_) | Policy::Rr(_))),
            limit,
        }
    }

    /// Nanoseconds for which a task may wait; none: for ever, as one of the real-time policies behind workers of a higher priority.
    pub(crate) fn limit(&self, task: &TaskSample) -> Option<u64> {
        if self.real_time && RT.contains(&task.policy) {
            return None;
        }
        let weight = if task.policy == IDLE { IDLE_WEIGHT } else { nice_weight(task.nice).into() };
        let weight = if task.is_kernel { weight } else { weight * self.cgroups.0 };
        let turns = |(workers, each): &(f64, f64)| workers * (each / weight).max(1.0);
        let mut round = TURN * self.workers.iter().map(turns).sum::<f64>();
        if self.real_time {
            round = round * BEHIND_RT + SECOND;
        }
        if !task.is_kernel {
            round = round * self.limit.0 + 2.0 * self.limit.1;
        }
        Some((self.least + round) as u64)
    }
}

/// What a clock blurs: the longest gap that nobody makes.
fn blurred(case: &Case) -> f64 {
    let machine = ClockOfMachine::of(case);
    let Some(Quantity::Time(gap)) = machine.floor(Measure::Gap) else { return 0.0 };
    let more = if machine.clock == Clock::Real { (f64::from(machine.cpus) / CPUS_KNOWN).max(1.0) } else { 1.0 };
    gap.0 as f64 * more
}

fn set_weights(plan: &Plan) -> impl Iterator<Item = u32> + '_ {
    plan.steps.iter().flat_map(|step| &step.actions).filter_map(|action| match action {
        Action::SetWeight { weight, .. } => Some(*weight),
        _ => None,
    })
}

fn set_limits(plan: &Plan) -> impl Iterator<Item = CpuMaxSpec> + '_ {
    plan.steps.iter().flat_map(|step| &step.actions).filter_map(|action| match action {
        Action::SetCpuMax { cpu_max, .. } => *cpu_max,
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_testing::history::history;

    /// In milliseconds, of a task of user space and of a kernel thread, on machines whose clock blurs 1 ms.
    fn limits(plan: &str, task: &str) -> [Option<u64>; 2] {
        let text = |kind: &str| format!("{plan}\nhold 1s\nsee 0ms task x pid=4 wait=1ms {task} {kind}");
        ["", "kernel"].map(|kind| {
            let recording = history("1n1l1c1t", &text(kind)).recording();
            let task = recording.samples().find_map(|(_, sample)| sample.tasks.as_ref()?.tasks.first()).cloned();
            let limit = Patience::of(&Run::new(&recording)).limit(&task.expect("is there"));
            limit.map(|limit| limit / 1_000_000)
        })
    }

    #[test]
    fn patience_follows_the_load() {
        for (plan, task, expected) in [
            ("a: cpu_spin x1", "", [Some(1021), Some(1021)]),
            ("a: cpu_spin x100", "", [Some(3001), Some(3001)]),
            // Weights of 88761 beside 1024, and of 1024 beside 15.
            ("a: cpu_spin x1 n-20", "", [Some(2734), Some(2734)]),
            ("a: cpu_spin x1", "nice=19", [Some(2366), Some(2366)]),
            ("a: cpu_spin x1", "policy=5", [Some(7827), Some(7827)]),
            // A cgroup with a tenth of the weight, and one with ten times as much.
            ("a: cpu_spin x1\nweight a 10", "", [Some(1201), Some(1021)]),
            ("a: cpu_spin x1\nweight a 1000", "", [Some(1201), Some(1201)]),
            // Half of the time, in periods of 100 ms.
            ("a: cpu_spin x1\nlimit a", "", [Some(1241), Some(1021)]),
            ("a: cpu_spin x1 fifo", "", [Some(2401), Some(2401)]),
            ("a: cpu_spin x1 fifo", "policy=1", [None, None]),
            ("a: cpu_spin x1", "policy=1", [Some(1021), Some(1021)]),
        ] {
            assert_eq!(limits(plan, task), expected, "{plan} {task}");
        }
    }
}
