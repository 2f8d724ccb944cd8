//! Tasks that wait for a CPU, from one look at tasks to the next.
//!
//! A wait is known from both ends: the kernel says since when a task waits, and as long as it has not begun to run once more
//! (`sched_info.pcount`), it is the same wait, also if it was moved to another CPU meanwhile, which makes the kernel count anew. What
//! begins and ends between two looks is not seen. Time in which a task could not run wherever it were is a wait of its own.

use crate::samples::StepSamples;
use ktstr_model::sample::{Held, TaskSample};
use std::collections::BTreeMap;

/// One task's wait in one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait<'a> {
    /// As it was seen last.
    pub(crate) task: &'a TaskSample,
    /// Guest time, not before the step.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Why it could not run.
    pub(crate) held: Option<Held>,
}

impl Wait<'_> {
    pub(crate) fn nanos(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// `kworker/1:0 (pid 40, kernel thread)`.
    pub(crate) fn name(&self) -> String {
        let TaskSample { comm, pid, is_kernel, .. } = self.task;
        format!("{comm} (pid {pid}{})", if *is_kernel { ", kernel thread" } else { "" })
    }

    /// Whether a later look at the same task is about the same wait: it has not run meanwhile, and what holds it is the same.
    fn goes_on(&self, task: &TaskSample) -> bool {
        task.runs == self.task.runs && task.comm == self.task.comm && task.held == self.held
    }
}

/// What was seen of the tasks in a step.
#[derive(Debug, Default)]
pub(crate) struct Waits<'a> {
    /// In the order in which they were over.
    pub(crate) all: Vec<Wait<'a>>,
    /// How many looks saw all tasks. What others saw is so, but they may have missed any wait.
    pub(crate) looks: u64,
}

impl<'a> Waits<'a> {
    pub(crate) fn of(step: &StepSamples<'a>) -> Self {
        let mut waits = Self::default();
        let mut open: BTreeMap<i32, Wait<'a>> = BTreeMap::new();
        for (at, tasks) in step.samples.iter().filter_map(|(at, sample)| Some((at.0, sample.tasks.as_ref()?))) {
            waits.looks += u64::from(tasks.complete);
            waits.all.extend(tasks.gone.iter().filter_map(|pid| open.remove(pid)));
            for task in &tasks.tasks {
                let before = open.remove(&task.pid);
                let Some(waiting) = task.waiting else {
                    waits.all.extend(before);
                    continue;
                };
                let mut from = at.saturating_sub(waiting).max(step.start.0);
                match before {
                    Some(before) if before.goes_on(task) => from = before.from,
                    // It was held, or was not, up to now.
                    Some(before) => {
                        let same = before.task.runs == task.runs && before.task.comm == task.comm;
                        from = if same { from.max(before.to) } else { from };
                        waits.all.push(before);
                    }
                    None => {}
                }
                open.insert(task.pid, Wait { task, from, to: at, held: task.held });
            }
        }
        waits.all.extend(open.into_values());
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Samples;
    use ktstr_testing::history::history;
    use proptest::prelude::*;

    /// The waits in a hold of 2 s with these lines: pid, from and to in milliseconds, whether held.
    fn waits(lines: &str) -> Vec<(i32, u64, u64, bool)> {
        let recording = history("1n1l2c1t", &format!("a: cpu_spin x1\nhold 2s\n{lines}")).recording();
        let samples = Samples::of(&recording);
        let start = samples.steps[0].start.0;
        let ms = |time: u64| (time - start) / 1_000_000;
        let waits = Waits::of(&samples.steps[0]);
        waits.all.iter().map(|wait| (wait.task.pid, ms(wait.from), ms(wait.to), wait.held.is_some())).collect()
    }

    #[test]
    fn a_wait_is_one_until_its_task_runs() {
        for (lines, expected) in [
            ("see 100ms task x pid=4 wait=30ms", vec![(4, 70, 100, false)]),
            // The kernel counts anew after a migration.
            ("see 100ms task x pid=4 wait=30ms\nsee 200ms task x pid=4 cpu=1 wait=5ms", vec![(4, 70, 200, false)]),
            (
                "see 100ms task x pid=4 wait=30ms\nsee 300ms task x pid=4 ran=1 wait=5ms",
                vec![(4, 70, 100, false), (4, 295, 300, false)],
            ),
            (
                "see 100ms task x pid=4 wait=30ms\nsee 200ms task x pid=4\nsee 300ms task y pid=5 wait=1ms",
                vec![(4, 70, 100, false), (5, 299, 300, false)],
            ),
            ("see 100ms task x pid=4 wait=30ms\nsee 200ms gone=4", vec![(4, 70, 100, false)]),
            // It was missed once.
            (
                "see 100ms task x pid=4 wait=30ms\nsee 200ms task\nsee 300ms task x pid=4 wait=230ms",
                vec![(4, 70, 300, false)],
            ),
            (
                "see 100ms task x pid=4 wait=30ms throttled\nsee 200ms..300ms task x pid=4 wait=130ms",
                vec![(4, 70, 100, true), (4, 100, 300, false)],
            ),
            // Not longer than the step.
            ("see 100ms task x pid=4 wait=9s", vec![(4, 0, 100, false)]),
        ] {
            assert_eq!(waits(lines), expected, "{lines}");
        }
    }

    proptest! {
        /// What is said of a task counts, not what else is said, and when.
        #[test]
        fn other_tasks_change_nothing(others in prop::collection::vec((1u64..20, 5i32..9, any::<bool>()), 0..20)) {
            let lines: Vec<String> = others
                .iter()
                .map(|(look, pid, waits)| format!("see {look}00ms task o pid={pid} {}", if *waits { "wait=1ms" } else { "" }))
                .collect();
            let seen = waits(&format!("{}\nsee 300ms..900ms task x pid=4 wait=30ms", lines.join("\n")));
            let of_it: Vec<_> = seen.into_iter().filter(|(pid, ..)| *pid == 4).collect();
            prop_assert_eq!(of_it, [(4, 270, 900, false)]);
        }
    }
}
