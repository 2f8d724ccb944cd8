//! Times in which a CPU runs nothing, from sample to sample.
//!
//! That a CPU was idle between two samples, too, is known by its count of tasks that began to run (`rq_sched_info.pcount`). What is shorter
//! than the time between samples is not seen.

use crate::samples::StepSamples;
use ktstr_model::sample::CpuSample;
use std::collections::BTreeMap;

/// From the first sample to the last in which a CPU was idle without having run anything in between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    pub(crate) cpu: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The fewest tasks of its own that it had all the time.
    pub(crate) own: u32,
    runs: u64,
}

impl Idle {
    pub(crate) fn nanos(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// Idle times of each CPU in a step, in order.
pub(crate) fn times(step: &StepSamples<'_>) -> BTreeMap<u32, Vec<Idle>> {
    stretches(step, |_| 0)
}

/// Idle times in which a CPU had tasks of its own all along.
pub(crate) fn with_work(step: &StepSamples<'_>) -> impl Iterator<Item = Idle> {
    let own = |cpu: &CpuSample| cpu.nr_running.max(cpu.scx.map_or(0, |scx| scx.local_dsq_nr));
    stretches(step, own).into_values().flatten().filter(|idle| idle.own > 0)
}

/// Each as long as `own` stays 0, or stays above.
fn stretches(step: &StepSamples<'_>, own: impl Fn(&CpuSample) -> u32) -> BTreeMap<u32, Vec<Idle>> {
    let mut all: BTreeMap<u32, Vec<Idle>> = BTreeMap::new();
    // In the sample before.
    let mut open: BTreeMap<u32, Idle> = BTreeMap::new();
    for (at, sample) in &step.samples {
        let mut before = std::mem::take(&mut open);
        if sample.unread > 0 {
            // One that could not be read is looked at next time.
            let is_unread = |cpu: &u32| sample.cpus.iter().all(|read| read.cpu != *cpu);
            open.extend(before.iter().filter(|(cpu, _)| is_unread(cpu)).map(|(cpu, idle)| (*cpu, *idle)));
        }
        for cpu in sample.cpus.iter().filter(|cpu| cpu.curr == 0) {
            let now = Idle { cpu: cpu.cpu, runs: cpu.runs, from: at.0, to: at.0, own: own(cpu) };
            let same = |idle: &Idle| idle.runs == now.runs && (idle.own > 0) == (now.own > 0);
            let of_cpu = all.entry(cpu.cpu).or_default();
            let idle = match before.remove(&cpu.cpu).filter(same) {
                Some(idle) => {
                    of_cpu.pop();
                    Idle { to: at.0, own: idle.own.min(now.own), ..idle }
                }
                None => now,
            };
            of_cpu.push(idle);
            open.insert(cpu.cpu, idle);
        }
    }
    all
}
