//! From a declaration to its cases: topologies × flag profiles × seeds, each with a plan in which nothing is left to choose.
//!
//! `TestSpec ──cases──▶ [Case]`; `cpusets` turns cpuset and affinity declarations into CPU numbers, `timeline` plays the
//! scenario through once to know which cgroups and workers are alive when, `samples` says what is sampled, `host_ops` what the
//! host does in the middle of it, and `limits` holds the ranges of plain numbers.

mod cpusets;
mod host_ops;
mod limits;
mod samples;
mod timeline;
mod under_test;

#[cfg(test)]
mod tests;

use crate::case::Input;
use crate::check::{merge, Has, Origin};
use crate::floor::ClockOfMachine;
use crate::scheduler::Profile;
use crate::spec::{RandomSeed, SeedSpec, TestSpec};
use crate::{Case, Check, FieldError, Placement, Plan, StartMode, StartSpec, Topology};
use std::collections::BTreeMap;

/// Most seeds of one test.
pub const SEEDS_MAX: u32 = 10_000;

/// What the cases of a declaration depend on apart from the declaration.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Used where the declaration says `seed = "random"`.
    pub random_seed: u64,
    /// Contents of the files that each case is made of.
    pub inputs: Vec<Input>,
    /// Contents of the snapshots that cases start from, by the label of their topology.
    pub snapshots: BTreeMap<String, Input>,
    /// Contents of the snapshots in which the scheduler is attached, by the same label and the name of a flag profile, empty where there
    /// are none; those that are not
    /// there could not be made.
    pub attached: BTreeMap<(String, String), Input>,
}

/// All cases of a declaration, in the order topology, flag profile, seed.
///
/// # Errors
/// The first thing that makes the declaration impossible, with its path.
pub fn cases(spec: &TestSpec, facts: &Facts) -> Result<Vec<Case>, FieldError> {
    check_target(spec)?;
    limits::checks(&spec.checks, "checks")?;
    let profiles = profiles(spec)?;
    if let Some(expected) = &spec.expect_failure {
        expected.check("expect_failure")?;
    }
    let seeds = seeds(spec, facts)?;
    let chosen = || FieldError::new("backend", "nothing was chosen").hint("tcg or kvm");
    let backend = spec.backend.ok_or_else(chosen)?;
    let monitor = samples::monitor(spec)?;
    let mut cases: Vec<Case> = Vec::new();
    for (i, (topology, clock)) in spec.topologies.iter().zip(&spec.clocks).enumerate() {
        let path = format!("topologies[{i}]");
        let topology = topology.clone().resolve(&path)?;
        if cases.iter().any(|case| case.topology.to_string() == topology.to_string()) {
            let hint = "cases would have equal names: put one of them into a target of its own";
            return Err(FieldError::new(path, format!("{topology} stands there twice")).hint(hint));
        }
        let placement = Placement { pin_cpus: spec.pin_cpus, huge_pages: spec.huge_pages };
        placement.check(backend, &topology, &path)?;
        let (plan, host_ops) = timeline::plan(spec, &topology)?;
        let checks = checks(spec, limits_cpus(&plan, &topology));
        samples::checks(spec, monitor.as_ref(), &checks)?;
        host_ops::are_possible(&host_ops, monitor.as_ref())?;
        let machine = ClockOfMachine { backend, clock: *clock, cpus: topology.cpus() };
        limits::above_floors(&checks, machine, &path)?;
        for (profile, seed) in profiles.iter().flat_map(|profile| seeds.iter().map(move |seed| (profile, seed))) {
            let (start, inputs) = start(spec, facts, &topology, profile);
            let flags = profile.name.as_ref().map(|name| format!("[{name}]")).unwrap_or_default();
            cases.push(Case {
                name: format!("{}[{topology}]{flags}[s{seed}]", spec.name),
                topology: topology.clone(),
                backend,
                clock: *clock,
                start,
                placement,
                seed: *seed,
                profile: profile.name.clone(),
                monitor: monitor.clone(),
                kernel_args: spec.kernel_args.clone(),
                plan: Plan { seed: *seed, scheduler: profile.scheduler.clone(), ..plan.clone() },
                host_ops: host_ops.clone(),
                checks: checks.clone(),
                expect_failure: spec.expect_failure.clone(),
                inputs,
            });
        }
    }
    Ok(cases)
}

/// Ways to run each topology; without a scheduler there is one.
fn profiles(spec: &TestSpec) -> Result<Vec<Profile>, FieldError> {
    let Some(scheduler) = &spec.scheduler else { return Ok(vec![Profile::default()]) };
    limits::checks(&scheduler.checks, "scheduler.checks")?;
    scheduler.profiles("scheduler")
}

/// Where cases begin, and the content of all that they are made of.
fn start(spec: &TestSpec, facts: &Facts, topology: &Topology, profile: &Profile) -> (StartMode, Vec<Input>) {
    let label = topology.to_string();
    let attached = facts.attached.get(&(label.clone(), profile.name.clone().unwrap_or_default()));
    let start = spec.start.mode(attached.is_some());
    let snapshot = match start {
        StartMode::Boot => None,
        StartMode::Snapshot => facts.snapshots.get(&label),
        StartMode::Attached => attached,
    };
    let mut inputs: Vec<Input> = facts.inputs.iter().chain(snapshot).cloned().collect();
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    (start, inputs)
}

fn checks(spec: &TestSpec, limited_cpus: bool) -> Vec<Check> {
    let has = Has { limited_cpus, scheduler: spec.scheduler.is_some() };
    let of_scheduler = spec.scheduler.iter().map(|scheduler| (Origin::Scheduler, &scheduler.checks));
    let layers: Vec<_> = of_scheduler.chain([(Origin::Test, &spec.checks)]).collect();
    merge(&layers, has)
}

fn check_target(spec: &TestSpec) -> Result<(), FieldError> {
    if spec.name.is_empty() {
        return Err(FieldError::new("name", "is empty"));
    }
    if spec.topologies.is_empty() {
        return Err(FieldError::new("topologies", "is empty").hint("at least one, such as topology(1, 2, 2, 1)"));
    }
    if spec.clocks.len() != spec.topologies.len() {
        let (clocks, topologies) = (spec.clocks.len(), spec.topologies.len());
        return Err(FieldError::new("clocks", format!("{clocks} clocks for {topologies} topologies")));
    }
    if spec.scenario.is_empty() {
        return Err(FieldError::new("scenario", "is empty").hint("at least one step"));
    }
    if spec.start == StartSpec::Attach && spec.scheduler.is_none() {
        let error = FieldError::new("start", "\"attach\" without a scheduler, which there would be to attach");
        return Err(error.hint("\"snapshot\" or \"boot\""));
    }
    for (i, event) in spec.trace.iter().enumerate() {
        if spec.trace[..i].contains(event) {
            return Err(FieldError::new(format!("trace[{i}]"), format!("{} stands there twice", event.name())));
        }
    }
    for (i, argument) in spec.kernel_args.iter().enumerate() {
        if argument.is_empty() || argument.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"') {
            let problem = format!("{argument:?} is not one argument of a kernel command line");
            return Err(FieldError::new(format!("kernel_args[{i}]"), problem).hint("one item for each argument"));
        }
    }
    Ok(())
}

fn seeds(spec: &TestSpec, facts: &Facts) -> Result<Vec<u64>, FieldError> {
    match (&spec.seed, spec.seeds) {
        (Some(_), Some(_)) => Err(FieldError::new("seed", "stands beside `seeds`").hint("one of them")),
        (Some(SeedSpec::Fixed(seed)), None) => Ok(vec![*seed]),
        (Some(SeedSpec::Named(RandomSeed::Random)), None) => Ok(vec![facts.random_seed]),
        (None, Some(count)) if (1..=SEEDS_MAX).contains(&count) => Ok((0..u64::from(count)).collect()),
        (None, Some(count)) => Err(limits::out_of_range("seeds", count, &format!("1 to {SEEDS_MAX}"))),
        (None, None) => Ok(vec![0]),
    }
}

/// Whether any worker may at any time not run on all CPUs.
fn limits_cpus(plan: &Plan, topology: &Topology) -> bool {
    let all = topology.all_cpus();
    plan.segments().any(|(_, _, expect)| expect.iter().any(|worker| worker.cpus != all))
}
