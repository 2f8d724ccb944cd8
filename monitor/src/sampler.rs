//! A kernel, looked at again and again: `Image, Memory, MonitorSpec ──open──▶ Sampler ──sample──▶ GuestNanos, Sample`.
//!
//! A sample never fails as a whole. What cannot be read is left out and counted; only if the machine is gone is there none.

use crate::clock::{Clock, Monotonic};
use crate::domain::Domains;
use crate::error::{KernelError, ReadError};
use crate::image::Image;
use crate::kernel::Kernel;
use crate::list::End;
use crate::map_variables::MapVariables;
use crate::page_table::Gva;
use crate::runqueue::{Runqueue, Runqueues};
use crate::scx::Scx;
use crate::segments::Memory;
use crate::series::{Series, SeriesProblem};
use crate::task::{Task, Tasks};
use crate::Maps;
use ktstr_model::sample::{
    CpuSample, DomainSample, DsqSample, Held, ScxCpuSample, ScxSample, TaskSample, TasksSample, DSQ_BUILTIN,
};
use ktstr_model::{CpuSet, GuestNanos, MonitorSpec, Nanos, Sample};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Looks at one machine.
pub struct Sampler {
    kernel: Kernel,
    clock: Clock,
    online: Gva,
    runqueues: Runqueues,
    tasks: Tasks,
    domains: Option<Domains>,
    scx: Option<Scx>,
    series: Series,
    /// For ops; none: there was none yet.
    variables: Option<MapVariables>,
    problems: Vec<SeriesProblem>,
    absent: Vec<String>,
    interval: Nanos,
    /// From one look at all tasks to the next, and the last one.
    tasks_interval: Nanos,
    looked: Option<GuestNanos>,
    /// What was said of each task, by its number.
    told: BTreeMap<i32, TaskSample>,
    /// Where they were.
    known: Vec<Gva>,
    /// What was said of the domains of each CPU.
    told_domains: BTreeMap<u32, Vec<DomainSample>>,
    at: GuestNanos,
    /// The clock of runqueues less `CLOCK_MONOTONIC`, as far as it was seen.
    ahead: Option<i128>,
}

/// So many tasks are remembered while nobody knows which of them are gone; then all are said anew.
const TOLD_MAX: usize = 1 << 16;

/// Counts what could not be read.
#[derive(Default)]
struct Torn(u32);

impl Torn {
    fn keep<T>(&mut self, read: Result<T, ReadError>) -> Option<T> {
        self.0 += u32::from(read.is_err());
        read.ok()
    }
}

impl Sampler {
    /// Finds the kernel of `image` in `memory`. A machine that boots has one at some later time: [`KernelError::is_early`].
    ///
    /// # Errors
    /// It is not there, or lacks what every kernel has.
    pub fn open(image: Arc<Image>, memory: Arc<dyn Memory>, spec: &MonitorSpec) -> Result<Self, KernelError> {
        let kernel = Kernel::open(image, memory)?;
        let mut absent = Vec::new();
        let scx = Scx::of(&kernel)?;
        if scx.is_none() {
            let has_any = kernel.btf().find("sched_ext_entity").is_some();
            absent.push(format!("sched_ext: {}", if has_any { "before scx_root" } else { "not in this kernel" }));
        }
        let maps = if spec.series.is_empty() { Ok(None) } else { Maps::of(&kernel).map(Some) };
        let maps = maps.unwrap_or_else(|error| {
            absent.push(format!("maps: {error}"));
            None
        });
        let runqueues = Runqueues::of(&kernel)?;
        if !runqueues.has_sched_info() {
            absent.push("rq_sched_info: CONFIG_SCHEDSTATS is off".into());
        }
        let domains = Domains::of(&kernel)?;
        if domains.is_none() {
            absent.push("sched_domain: not as this program knows it".into());
        }
        Ok(Self {
            clock: Clock::of(&kernel)?,
            online: kernel.symbol("__cpu_online_mask")?,
            runqueues,
            tasks: Tasks::of(&kernel)?,
            domains,
            scx,
            series: Series::new(spec.series.clone(), maps),
            variables: None,
            problems: Vec::new(),
            absent,
            interval: spec.interval,
            tasks_interval: spec.tasks,
            looked: None,
            told: BTreeMap::new(),
            known: Vec::new(),
            told_domains: BTreeMap::new(),
            at: GuestNanos(0),
            ahead: None,
            kernel,
        })
    }

    /// How far KASLR has moved the kernel.
    pub fn slide(&self) -> u64 {
        self.kernel.slide()
    }

    /// Names of the events of sched_ext, in the order of their counts.
    pub fn events(&self) -> Vec<String> {
        self.scx.iter().flat_map(Scx::event_names).map(str::to_owned).collect()
    }

    /// The kernel that is looked at, and where everything is in it.
    pub(crate) fn parts(&self) -> (&Kernel, &Tasks, &Runqueues, Option<&Scx>) {
        (&self.kernel, &self.tasks, &self.runqueues, self.scx.as_ref())
    }

    /// For ops.
    pub(crate) fn kernel_and_variables(&mut self) -> (&Kernel, &mut Option<MapVariables>) {
        (&self.kernel, &mut self.variables)
    }

    /// What this kernel lacks.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// Why series cannot be read, as far as that was not asked for before.
    pub fn take_problems(&mut self) -> Vec<SeriesProblem> {
        std::mem::take(&mut self.problems)
    }

    /// What the kernel is like now, and when that is by its own clock; `counter` is what its time stamp counter shows, if that is known.
    /// `None`: the machine went away meanwhile.
    pub fn sample(&mut self, counter: Option<u64>) -> Option<(GuestNanos, Sample)> {
        let mut torn = Torn::default();
        let clock = torn.keep(self.clock.monotonic(&self.kernel, counter));
        self.at = clock.map_or(self.at, |clock| GuestNanos(clock.at));
        let known = torn.keep(self.online());
        let is_known = known.is_some();
        let online = known.unwrap_or_else(|| CpuSet::range(0, self.kernel.cpus() as u32));
        let wanted: Vec<usize> = online.iter().map(|cpu| cpu as usize).collect();
        let runqueues = self.runqueues.read_many(&self.kernel, &wanted);
        let runqueues: Vec<_> = runqueues.into_iter().filter_map(|rq| torn.keep(rq)).collect();
        // Without the mask, some of those that were read are off line.
        let unread = ((wanted.len() - runqueues.len()) as u32).max(u32::from(!is_known));
        let now = self.now(clock, &runqueues);
        let scx = self.scx.as_ref().map(|scx| self.scx(scx, now, &mut torn));
        // Samples come a little early or late.
        let is_due = |last: GuestNanos| self.at.0.saturating_sub(last.0) + self.interval.0 / 2 >= self.tasks_interval.0;
        let is_due = self.looked.is_none_or(is_due);
        let tasks = is_due.then(|| self.tasks(&online, now, &mut torn));
        let domains = if is_due { self.domains(&online, &mut torn) } else { Vec::new() };
        let (series, unreadable, problems) = self.series.values(&self.kernel);
        self.problems.extend(problems);
        let cpus = runqueues.into_iter().map(cpu).collect();
        let torn = torn.0 + unreadable;
        self.kernel.is_there().then_some((self.at, Sample { cpus, unread, scx, tasks, domains, series, torn }))
    }

    fn online(&self) -> Result<CpuSet, ReadError> {
        Ok(CpuSet::from_words(&self.kernel.words(self.online, self.kernel.cpus().div_ceil(64))?))
    }

    /// What the clock of a runqueue would show now. Those of idle CPUs stand, and all of them may be idle while tasks wait: then
    /// `CLOCK_MONOTONIC` says how far it would be, where that itself does not stand. Both are made of the same counter.
    fn now(&mut self, clock: Option<Monotonic>, runqueues: &[Runqueue]) -> u64 {
        let seen = runqueues.iter().map(|rq| rq.clock).max().unwrap_or_default();
        let Some(clock) = clock.filter(|clock| clock.is_now) else { return seen };
        let ahead = i128::from(seen) - i128::from(clock.at);
        let ahead = self.ahead.map_or(ahead, |before| before.max(ahead));
        self.ahead = Some(ahead);
        u64::try_from(i128::from(clock.at) + ahead).unwrap_or(seen).max(seen)
    }

    fn scx(&self, scx: &Scx, now: u64, torn: &mut Torn) -> ScxSample {
        let kernel = &self.kernel;
        let state = torn.keep(scx.state(kernel)).unwrap_or_default();
        let state = state.strip_prefix("SCX_").unwrap_or(&state).to_lowercase();
        let known = torn.keep(scx.scx_root(kernel));
        let root = known.flatten();
        let events = root.and_then(|root| torn.keep(scx.events(kernel, root))).unwrap_or_default();
        let events = events.into_iter().map(|(_, count)| count.max(0) as u64).collect();
        let exit_kind = root.and_then(|root| torn.keep(scx.exit_kind(kernel, root))).unwrap_or_default();
        let (dsqs, end) = root
            .map_or(Ok((Vec::new(), End::Complete)), |root| scx.dsqs(kernel, root))
            .unwrap_or((Vec::new(), End::Torn));
        torn.0 += u32::from(end != End::Complete);
        let mut dsqs: Vec<_> = dsqs
            .into_iter()
            .map(|dsq| {
                let head = if dsq.nr == 0 { None } else { torn.keep(scx.tasks(kernel, &dsq, 1)) };
                let head = head.and_then(|(tasks, _)| tasks.first().copied());
                let head = head.and_then(|task| torn.keep(self.tasks.read(kernel, task)));
                DsqSample { id: dsq.id, nr: dsq.nr as u32, head_wait: head.and_then(|task| task.waiting(now)) }
            })
            .collect();
        dsqs.sort_by_key(|dsq| (dsq.id & DSQ_BUILTIN == 0, dsq.id));
        ScxSample { state, exit_kind, events, dsqs, torn: known.is_none() || end != End::Complete }
    }

    fn tasks(&mut self, online: &CpuSet, now: u64, torn: &mut Torn) -> TasksSample {
        self.looked = Some(self.at);
        let Some(all) = torn.keep(self.tasks.all_like(&self.kernel, &self.known)) else {
            return TasksSample::default();
        };
        self.known = all.tasks.iter().map(|task| task.at).collect();
        let mut sample = TasksSample { complete: all.end == End::Complete, ..TasksSample::default() };
        torn.0 += u32::from(!sample.complete);
        let mut seen = BTreeSet::new();
        for task in all.tasks {
            seen.insert(task.pid);
            let task = self.task(task, online, now, torn);
            if task.waiting.is_some() || self.told.get(&task.pid) != Some(&task) {
                self.told.insert(task.pid, task.clone());
                sample.tasks.push(task);
            }
        }
        if !sample.complete && self.told.len() > TOLD_MAX {
            self.told.clear();
        }
        if sample.complete {
            sample.gone = self.told.keys().copied().filter(|pid| !seen.contains(pid)).collect();
            self.told.retain(|pid, _| seen.contains(pid));
        }
        sample
    }

    fn domains(&mut self, online: &CpuSet, torn: &mut Torn) -> Vec<DomainSample> {
        let Some(domains) = &self.domains else { return Vec::new() };
        let mut said = Vec::new();
        let cpus: Vec<u32> = online.iter().collect();
        for (cpu, of_cpu) in cpus.iter().copied().zip(domains.of_cpus(&self.kernel, &self.runqueues, &cpus)) {
            if let Some(of_cpu) = torn.keep(of_cpu).filter(|of_cpu| self.told_domains.get(&cpu) != Some(of_cpu)) {
                self.told_domains.insert(cpu, of_cpu.clone());
                said.extend(of_cpu);
            }
        }
        said
    }

    fn task(&self, task: Task, online: &CpuSet, now: u64, torn: &mut Torn) -> TaskSample {
        let waiting = task.waiting(now);
        let allowed = CpuSet::from_words(&task.allowed);
        let held = if task.is_frozen {
            Some(Held::Frozen)
        } else if !allowed.iter().any(|cpu| online.contains(cpu)) {
            Some(Held::NoCpu)
        } else {
            let is_throttled = waiting.and_then(|_| torn.keep(self.tasks.is_throttled(&self.kernel, &task)));
            is_throttled.filter(|throttled| *throttled).map(|_| Held::Throttled)
        };
        let dsq = self.scx.as_ref().zip(task.scx).filter(|(_, entity)| entity.dsq != Gva(0));
        let dsq = dsq.and_then(|(scx, entity)| torn.keep(scx.dsq(&self.kernel, entity.dsq)));
        TaskSample {
            pid: task.pid,
            tgid: task.tgid,
            comm: task.comm,
            is_kernel: task.is_kernel,
            cpu: task.cpu,
            on_cpu: task.on_cpu,
            policy: task.policy,
            nice: task.nice,
            allowed,
            waiting,
            held,
            run_delay: task.run_delay,
            runs: task.runs,
            runtime: task.runtime,
            dsq: dsq.map(|dsq| dsq.id),
        }
    }
}

fn cpu(rq: Runqueue) -> CpuSample {
    let [run_delay, runs] = rq.sched_info.unwrap_or_default();
    let scx = rq.scx.map(|scx| ScxCpuSample {
        nr_running: scx.nr_running as u32,
        flags: scx.flags as u32,
        local_dsq_nr: scx.local_dsq_nr as u32,
    });
    CpuSample {
        cpu: rq.cpu as u32,
        nr_running: (rq.nr_running - rq.delayed) as u32,
        clock: rq.clock,
        curr: rq.curr.pid,
        comm: rq.curr.comm,
        run_delay,
        runs,
        scx,
    }
}

#[cfg(test)]
mod tests;
