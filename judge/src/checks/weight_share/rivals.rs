//! Who can be compared: those who wanted a CPU all the time, and the same CPUs.

use crate::patience::nice_weight;
use crate::run::{Run, Segment, WorkerStep};
use ktstr_model::work::{Policy, Work};
use ktstr_model::{CpuSet, GuestNanos, Plan};
use std::collections::{BTreeMap, BTreeSet};

/// Who has a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Worker,
    /// By its index.
    Cgroup(u32),
}

/// One that shared CPUs with others in a step.
#[derive(Debug)]
pub(super) struct Rival {
    pub(super) who: Who,
    pub(super) weight: u32,
    /// CPU time that it had.
    pub(super) had: u64,
    /// The most that it can have had.
    pub(super) most: u64,
    /// The worker, or one of the cgroup.
    pub(super) worker: u32,
    /// The last one of the step.
    pub(super) segment: u32,
    pub(super) end: GuestNanos,
}

/// Where a worker was in a segment: its cgroup, and the CPUs that it could run on.
type Home<'a> = (u32, &'a CpuSet);

/// A worker that wanted a CPU in the whole of a step.
struct Runner<'a> {
    did: &'a WorkerStep,
    weight: u32,
    /// In each segment of the step.
    homes: Vec<Home<'a>>,
}

/// All sets of rivals, none of fewer than two.
pub(super) fn of(run: &Run<'_>) -> Vec<Vec<Rival>> {
    let steps = run.worker_steps();
    let numbers: BTreeSet<u32> = steps.iter().map(|did| did.step).collect();
    let mut sets = Vec::new();
    for step in numbers {
        let segments: Vec<&Segment<'_>> = run.segments_of(step).collect();
        let runners: BTreeMap<u32, Runner<'_>> = steps
            .iter()
            .filter(|did| did.step == step && did.whole)
            .filter_map(|did| Some((did.worker, runner(run, &segments, did)?)))
            .collect();
        sets.extend(workers(&runners));
        sets.extend(cgroups(run, &segments, &runners));
    }
    sets.retain(|set| set.len() > 1);
    sets
}

/// None: it sleeps, or weights say nothing of its policy.
fn runner<'a>(run: &Run<'_>, segments: &[&'a Segment<'_>], did: &'a WorkerStep) -> Option<Runner<'a>> {
    let plan = &run.case.plan;
    let group = plan.groups.get(plan.group_of(did.worker)?)?;
    let fair = matches!(group.policy, Policy::Other | Policy::Batch);
    let weight = nice_weight(group.nice);
    let home = |segment: &&'a Segment<'_>| {
        let expect = segment.expect.iter().find(|expect| expect.worker == did.worker)?;
        Some((run.settings.get(segment.number as usize)?.cgroup_of(did.worker)?, &expect.cpus))
    };
    let homes = segments.iter().map(home).collect::<Option<Vec<_>>>()?;
    (group.work == Work::CpuSpin && fair).then_some(Runner { did, weight, homes })
}

/// Puts things into sets of those that are alike.
fn alike<T, K: PartialEq>(things: impl Iterator<Item = (K, T)>) -> Vec<Vec<T>> {
    let mut sets: Vec<(K, Vec<T>)> = Vec::new();
    for (key, thing) in things {
        match sets.iter_mut().find(|(of, _)| *of == key) {
            Some((_, set)) => set.push(thing),
            None => sets.push((key, vec![thing])),
        }
    }
    sets.into_iter().map(|(_, set)| set).collect()
}

fn workers(runners: &BTreeMap<u32, Runner<'_>>) -> Vec<Vec<Rival>> {
    alike(runners.values().map(|runner| {
        let Runner { did, weight, homes } = runner;
        let rival = Rival {
            who: Who::Worker,
            weight: *weight,
            had: did.cpu_ns,
            // The clocks of its CPU time and of the step are not read at the same moment.
            most: did.nanos.max(did.cpu_ns),
            worker: did.worker,
            segment: did.segment,
            end: did.end,
        };
        (homes, rival)
    }))
}

/// What a cgroup and those nested in it have in a step.
#[derive(Default)]
struct Members {
    workers: BTreeSet<u32>,
    /// Workers, each counted in each segment in which it is there.
    stays: usize,
}

fn cgroups(run: &Run<'_>, segments: &[&Segment<'_>], runners: &BTreeMap<u32, Runner<'_>>) -> Vec<Vec<Rival>> {
    let plan = &run.case.plan;
    let mut all: BTreeMap<u32, Members> = BTreeMap::new();
    for segment in segments {
        let Some(settings) = run.settings.get(segment.number as usize) else { continue };
        for expect in segment.expect {
            let home = settings.cgroup_of(expect.worker);
            for cgroup in home.into_iter().flat_map(|home| with_parents(plan, home)) {
                let members = all.entry(cgroup).or_default();
                members.workers.insert(expect.worker);
                members.stays += 1;
            }
        }
    }
    let rival = |(index, members): (&u32, &Members)| {
        let whole = members.stays == members.workers.len() * segments.len();
        let workers: Vec<&Runner<'_>> =
            members.workers.iter().map(|worker| runners.get(worker)).collect::<Option<_>>().filter(|_| whole)?;
        let cpus: Vec<&CpuSet> = workers.first()?.homes.iter().map(|(_, cpus)| *cpus).collect();
        let same = workers.iter().all(|runner| runner.homes.iter().map(|(_, cpus)| *cpus).eq(cpus.iter().copied()));
        let weight = weight_of(run, *index, segments)?;
        let parent = plan.cgroups.get(*index as usize)?.parent;
        same.then(|| ((parent, cpus.clone()), cgroup_rival(*index, weight, &workers, segments, &cpus)))
    };
    alike(all.iter().filter_map(rival))
}

fn cgroup_rival(
    index: u32,
    weight: u32,
    workers: &[&Runner<'_>],
    segments: &[&Segment<'_>],
    cpus: &[&CpuSet],
) -> Rival {
    let had = workers.iter().map(|runner| runner.did.cpu_ns).sum();
    let at_once = |cpus: &CpuSet| workers.len().min(cpus.len()) as u64;
    let most: u64 = segments.iter().zip(cpus).map(|(segment, cpus)| segment.nanos() * at_once(cpus)).sum();
    let (worker, segment, end) =
        workers.first().map_or((0, 0, GuestNanos(0)), |runner| (runner.did.worker, runner.did.segment, runner.did.end));
    Rival { who: Who::Cgroup(index), weight, had, most: most.max(had), worker, segment, end }
}

/// The cgroup, its parent, and so on.
fn with_parents(plan: &Plan, cgroup: u32) -> impl Iterator<Item = u32> + '_ {
    std::iter::successors(Some(cgroup), |index| plan.cgroups.get(*index as usize)?.parent)
}

/// Its weight, if that is the same in all segments and neither it nor a cgroup in it is limited.
fn weight_of(run: &Run<'_>, index: u32, segments: &[&Segment<'_>]) -> Option<u32> {
    let plan = &run.case.plan;
    let inside = (0u32..plan.cgroups.len() as u32).filter(|other| with_parents(plan, *other).any(|of| of == index));
    let inside: Vec<u32> = inside.collect();
    let weight = |segment: &&Segment<'_>| {
        let settings = run.settings.get(segment.number as usize)?;
        let limited = inside.iter().any(|other| settings.cgroup(*other).is_some_and(|cgroup| cgroup.limited));
        settings.cgroup(index).filter(|_| !limited).map(|cgroup| cgroup.weight)
    };
    let weights = segments.iter().map(weight).collect::<Option<Vec<u32>>>()?;
    let first = *weights.first()?;
    weights.iter().all(|weight| *weight == first).then_some(first)
}
