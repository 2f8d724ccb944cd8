//! Plays a scenario through once: which cgroups and workers are alive when, and what each worker may do in each hold.

use super::under_test::UnderTest;
use super::{cpusets, host_ops, limits};
use crate::field::nearest;
use crate::plan::{Action, CgroupPlan, GroupPlan, StepPlan, WorkerExpectation, SEGMENTS_MAX, WORKERS_MAX};
use crate::spec::{CgroupSpec, HoldSpec, OpSpec, StepSpec, TestSpec, WorkersSpec};
use crate::{CpuSet, FieldError, HostOp, Nanos, Plan, Topology};

/// The plan of a scenario on a topology, with seed 0, and what the host does in it.
pub(super) fn plan(spec: &TestSpec, topology: &Topology) -> Result<(Plan, Vec<HostOp>), FieldError> {
    let under_test = if spec.scheduler.is_some() { UnderTest::There } else { UnderTest::None };
    let mut timeline = Timeline::new(topology, under_test);
    let mut steps = Vec::new();
    for (i, step) in spec.scenario.iter().enumerate() {
        timeline.number = i as u32;
        timeline.step(step, &format!("scenario[{i}]"))?;
        steps.push(StepPlan { actions: std::mem::take(&mut timeline.actions) });
    }
    let Timeline { cgroups, groups, host_ops, .. } = timeline;
    Ok((Plan { seed: 0, cgroups, groups, steps, trace: spec.trace.clone(), scheduler: None }, host_ops))
}

/// A cgroup that exists at this point of the scenario.
struct LiveCgroup {
    index: u32,
    parent: Option<u32>,
    /// `cpuset.cpus`; none: those of the parent.
    cpus: Option<CpuSet>,
    frozen: bool,
}

/// A worker group that runs at this point of the scenario.
struct LiveGroup {
    group: u32,
    cgroup: u32,
    /// Where it was declared, for errors.
    path: String,
}

struct Timeline<'a> {
    topology: &'a Topology,
    cgroups: Vec<CgroupPlan>,
    groups: Vec<GroupPlan>,
    live_cgroups: Vec<LiveCgroup>,
    live_groups: Vec<LiveGroup>,
    online: CpuSet,
    under_test: UnderTest,
    /// Index of the step.
    number: u32,
    host_ops: Vec<HostOp>,
    actions: Vec<Action>,
    segments: u32,
    workers: u32,
}

impl<'a> Timeline<'a> {
    fn new(topology: &'a Topology, under_test: UnderTest) -> Self {
        Self {
            topology,
            cgroups: Vec::new(),
            groups: Vec::new(),
            live_cgroups: Vec::new(),
            live_groups: Vec::new(),
            online: topology.all_cpus(),
            under_test,
            number: 0,
            host_ops: Vec::new(),
            actions: Vec::new(),
            segments: 0,
            workers: 0,
        }
    }

    fn step(&mut self, step: &StepSpec, path: &str) -> Result<(), FieldError> {
        for (i, cgroup) in step.cgroups.iter().enumerate() {
            self.add_cgroup(cgroup, &format!("{path}.cgroups[{i}]"))?;
        }
        self.ops(&step.ops, &format!("{path}.ops"))?;
        let path = format!("{path}.hold");
        match &step.hold {
            HoldSpec::Seconds(seconds) => {
                let duration = limits::hold_seconds(*seconds, &format!("{path}.seconds"))?;
                self.hold(duration, &path)
            }
            HoldSpec::Loop { ops, every, times } => {
                if !(1..=1000).contains(times) {
                    return Err(limits::out_of_range(&format!("{path}.loop.times"), times, "1 to 1000"));
                }
                let duration = limits::interval(*every, &format!("{path}.loop.every"))?;
                for _ in 0..*times {
                    self.ops(ops, &format!("{path}.loop.ops"))?;
                    self.hold(duration, &path)?;
                }
                Ok(())
            }
        }
    }

    fn ops(&mut self, ops: &[OpSpec], path: &str) -> Result<(), FieldError> {
        ops.iter().enumerate().try_for_each(|(i, op)| self.op(op, &format!("{path}[{i}]")))
    }

    fn op(&mut self, op: &OpSpec, path: &str) -> Result<(), FieldError> {
        match op {
            OpSpec::AddCgroup(cgroup) => self.add_cgroup(cgroup, &format!("{path}.add_cgroup"))?,
            OpSpec::RemoveCgroup(name) => self.remove_cgroup(name, path)?,
            OpSpec::SetCpuset { cgroup, cpuset } => {
                let cpus = cpusets::cpuset(cpuset, self.topology, &format!("{path}.set_cpuset.cpuset"))?;
                let cgroup = self.find(cgroup, &format!("{path}.set_cpuset.cgroup"))?;
                self.set_cpus(cgroup, Some(cpus));
            }
            OpSpec::ClearCpuset(name) => {
                let cgroup = self.find(name, path)?;
                self.set_cpus(cgroup, None);
            }
            OpSpec::SwapCpusets { a, b } => self.swap_cpusets(a, b, &format!("{path}.swap_cpusets"))?,
            OpSpec::Spawn { cgroup, works } => {
                let path = format!("{path}.spawn");
                let cgroup = self.find(cgroup, &format!("{path}.cgroup"))?;
                self.spawn(cgroup, works, &path)?;
            }
            OpSpec::Stop(name) => {
                let cgroup = self.find(name, path)?;
                self.live_groups.retain(|group| group.cgroup != cgroup);
                self.actions.push(Action::Stop(cgroup));
            }
            OpSpec::SetWeight { cgroup, weight } => {
                let cgroup = self.find(cgroup, &format!("{path}.set_weight.cgroup"))?;
                let weight = limits::weight(*weight, &format!("{path}.set_weight.weight"))?;
                self.actions.push(Action::SetWeight { cgroup, weight });
            }
            OpSpec::SetCpuMax { cgroup, cpu_max } => {
                let cgroup = self.find(cgroup, &format!("{path}.set_cpu_max.cgroup"))?;
                let path = format!("{path}.set_cpu_max.cpu_max");
                let cpu_max = cpu_max.map(|limit| limits::cpu_max(limit, &path)).transpose()?;
                self.actions.push(Action::SetCpuMax { cgroup, cpu_max });
            }
            OpSpec::MoveTasks { from, to } => {
                let from = self.find(from, &format!("{path}.move_tasks.from"))?;
                let to = self.find(to, &format!("{path}.move_tasks.to"))?;
                self.live_groups.iter_mut().filter(|group| group.cgroup == from).for_each(|group| group.cgroup = to);
                self.actions.push(Action::MoveTasks { from, to });
            }
            OpSpec::Freeze(name) => self.freeze(name, true, path)?,
            OpSpec::Thaw(name) => self.freeze(name, false, path)?,
            OpSpec::CpuOffline(list) => self.set_online(list, false, &format!("{path}.cpu_offline"))?,
            OpSpec::CpuOnline(list) => self.set_online(list, true, &format!("{path}.cpu_online"))?,
            OpSpec::Scheduler(op) => self.actions.extend(self.under_test.op(op, &format!("{path}.scheduler"))?),
            OpSpec::Fault(fault) => self.actions.push(Action::Fault(*fault)),
            OpSpec::ReadMap { .. }
            | OpSpec::WriteMap { .. }
            | OpSpec::ReadKernel { .. }
            | OpSpec::WriteKernel { .. } => {
                let op = host_ops::host_op(op, self.number, path, self.topology)?;
                self.actions.push(Action::Host { op: self.host_ops.len() as u32 });
                self.host_ops.push(op);
            }
        }
        Ok(())
    }

    fn add_cgroup(&mut self, spec: &CgroupSpec, path: &str) -> Result<(), FieldError> {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if spec.name.is_empty() || !spec.name.chars().all(valid) {
            let problem = format!("{:?} is not a name of a cgroup", spec.name);
            return Err(FieldError::new(format!("{path}.name"), problem).hint("letters, digits, _ and -"));
        }
        if self.live_cgroups.iter().any(|live| self.name(live.index) == spec.name) {
            let problem = format!("a cgroup `{}` is there already", spec.name);
            return Err(FieldError::new(format!("{path}.name"), problem).hint("another name, or remove_cgroup before"));
        }
        let parent = spec.parent.as_deref().map(|name| self.find(name, &format!("{path}.parent"))).transpose()?;
        let cpus = spec
            .cpuset
            .as_ref()
            .map(|cpuset| cpusets::cpuset(cpuset, self.topology, &format!("{path}.cpuset")))
            .transpose()?;
        let plan = CgroupPlan {
            name: spec.name.clone(),
            parent,
            cpus: cpus.clone(),
            weight: spec.weight.map(|weight| limits::weight(weight, &format!("{path}.weight"))).transpose()?,
            cpu_max: spec.cpu_max.map(|limit| limits::cpu_max(limit, &format!("{path}.cpu_max"))).transpose()?,
        };
        let index = self.cgroups.len() as u32;
        self.cgroups.push(plan);
        self.live_cgroups.push(LiveCgroup { index, parent, cpus, frozen: false });
        self.actions.push(Action::CreateCgroup(index));
        self.spawn(index, &spec.works, path)
    }

    fn spawn(&mut self, cgroup: u32, works: &[WorkersSpec], path: &str) -> Result<(), FieldError> {
        for (i, spec) in works.iter().enumerate() {
            let path = format!("{path}.works[{i}]");
            limits::workers(spec, &path)?;
            let first_worker = self.workers;
            self.workers = self.workers.saturating_add(spec.workers);
            if self.workers > WORKERS_MAX {
                let problem = format!("{} workers in the whole test", self.workers);
                return Err(FieldError::new(format!("{path}.workers"), problem).hint(format!("at most {WORKERS_MAX}")));
            }
            let at = format!("{path}.affinity");
            let affinity = cpusets::affinity(&spec.affinity, spec.workers, self.topology, &at)?;
            let group = self.groups.len() as u32;
            self.groups.push(GroupPlan {
                cgroup,
                first_worker,
                workers: spec.workers,
                work: spec.work.clone(),
                affinity,
                policy: spec.policy,
                nice: spec.nice,
            });
            self.live_groups.push(LiveGroup { group, cgroup, path });
            self.actions.push(Action::Start(group));
        }
        Ok(())
    }

    fn remove_cgroup(&mut self, name: &str, path: &str) -> Result<(), FieldError> {
        let root = self.find(name, &format!("{path}.remove_cgroup"))?;
        // Children were created after their parents, so that the newest come first.
        let doomed: Vec<u32> = self
            .live_cgroups
            .iter()
            .rev()
            .map(|live| live.index)
            .filter(|index| self.is_within(*index, root))
            .collect();
        for index in doomed {
            self.live_cgroups.retain(|live| live.index != index);
            self.live_groups.retain(|group| group.cgroup != index);
            self.actions.push(Action::RemoveCgroup(index));
        }
        Ok(())
    }

    fn swap_cpusets(&mut self, a: &str, b: &str, path: &str) -> Result<(), FieldError> {
        let (a, b) = (self.find(a, &format!("{path}.a"))?, self.find(b, &format!("{path}.b"))?);
        let (cpus_a, cpus_b) = (self.own_cpus(a), self.own_cpus(b));
        self.set_cpus(a, cpus_b);
        self.set_cpus(b, cpus_a);
        Ok(())
    }

    fn set_cpus(&mut self, cgroup: u32, cpus: Option<CpuSet>) {
        self.actions.push(Action::SetCpuset { cgroup, cpus: cpus.clone().unwrap_or_default() });
        self.live_cgroups.iter_mut().filter(|live| live.index == cgroup).for_each(|live| live.cpus = cpus.clone());
    }

    fn freeze(&mut self, name: &str, frozen: bool, path: &str) -> Result<(), FieldError> {
        let cgroup = self.find(name, path)?;
        self.live_cgroups.iter_mut().filter(|live| live.index == cgroup).for_each(|live| live.frozen = frozen);
        self.actions.push(Action::Freeze { cgroup, frozen });
        Ok(())
    }

    fn set_online(&mut self, list: &[u32], online: bool, path: &str) -> Result<(), FieldError> {
        let set = cpusets::exact(list, self.topology, path)?;
        if set.contains(0) {
            return Err(FieldError::new(path, "CPU 0 cannot go off line on x86").hint("CPUs from 1 on"));
        }
        self.online = if online { self.online.union(&set) } else { self.online.difference(&set) };
        self.actions.extend(set.iter().map(|cpu| Action::SetOnline { cpu, online }));
        Ok(())
    }

    fn hold(&mut self, duration: Nanos, path: &str) -> Result<(), FieldError> {
        self.segments += 1;
        if self.segments > SEGMENTS_MAX {
            let problem = format!("more than {SEGMENTS_MAX} holds in the whole test");
            return Err(FieldError::new(path, problem).hint("fewer times in a loop"));
        }
        let mut expect = Vec::new();
        for live in &self.live_groups {
            let Some(group) = self.groups.get(live.group as usize) else { continue };
            for i in 0..group.workers {
                expect.push(self.expectation(live, group, i, path)?);
            }
        }
        expect.sort_by_key(|worker| worker.worker);
        self.actions.push(Action::Hold { duration, expect });
        Ok(())
    }

    fn expectation(
        &self,
        live: &LiveGroup,
        group: &GroupPlan,
        i: u32,
        path: &str,
    ) -> Result<WorkerExpectation, FieldError> {
        let allowed = self.effective_cpus(live.cgroup);
        let affinity = group.affinity.get(i as usize);
        let cpus =
            affinity.map_or(allowed.clone(), |affinity| affinity.intersection(&allowed)).intersection(&self.online);
        if cpus.is_empty() {
            let problem = format!(
                "worker {i} is left without a CPU at {path}: cgroup `{}` has CPUs {allowed}, its affinity is {}, on line are {}",
                self.name(live.cgroup),
                affinity.map_or("not set".into(), ToString::to_string),
                self.online,
            );
            let hint = format!("CPUs that are in all of them, on {}", self.topology);
            return Err(FieldError::new(&live.path, problem).hint(hint));
        }
        let frozen = self.chain(live.cgroup).any(|cgroup| cgroup.frozen);
        Ok(WorkerExpectation { worker: group.first_worker + i, cpus, frozen })
    }

    /// CPUs of a cgroup: its own and those of all that it is nested in.
    fn effective_cpus(&self, cgroup: u32) -> CpuSet {
        let own = self.chain(cgroup).filter_map(|live| live.cpus.as_ref());
        own.fold(self.topology.all_cpus(), |all, cpus| all.intersection(cpus))
    }

    /// A cgroup and those it is nested in, innermost first.
    fn chain(&self, cgroup: u32) -> impl Iterator<Item = &LiveCgroup> {
        std::iter::successors(self.live(cgroup), |live| self.live(live.parent?))
    }

    fn live(&self, cgroup: u32) -> Option<&LiveCgroup> {
        self.live_cgroups.iter().find(|live| live.index == cgroup)
    }

    fn is_within(&self, cgroup: u32, root: u32) -> bool {
        self.chain(cgroup).any(|live| live.index == root)
    }

    fn own_cpus(&self, cgroup: u32) -> Option<CpuSet> {
        self.live(cgroup).and_then(|live| live.cpus.clone())
    }

    fn name(&self, cgroup: u32) -> &str {
        self.cgroups.get(cgroup as usize).map_or("", |plan| plan.name.as_str())
    }

    fn find(&self, name: &str, path: &str) -> Result<u32, FieldError> {
        let live = self.live_cgroups.iter().find(|live| self.name(live.index) == name);
        live.map(|live| live.index).ok_or_else(|| {
            let names = self.live_cgroups.iter().map(|live| self.name(live.index));
            let error = FieldError::new(path, format!("no cgroup `{name}` is there at this point"));
            match nearest(name, names.clone()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("there are: {}", names.collect::<Vec<_>>().join(", "))),
            }
        })
    }
}
