//! The agent's hold on its workers: started, moved, stopped, buried.
//!
//! Everything that must hold before a worker runs is set from outside while it waits at its gate. So the agent never waits
//! for a worker to get a CPU: under a scheduler that starves it, or below a real-time task, that might never be.

use crate::cgroups::Cgroups;
use crate::sys::process;
use crate::sys::shared::{map_shared, Board, Gate, PairSlot, WorkerSlot};
use crate::worker::{self, Link, WorkerSetup};
use ktstr_init::clock;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use ktstr_model::plan::{GroupPlan, WORKERS_MAX};
use ktstr_model::work::Policy;
use ktstr_model::{CpuSet, Plan, What, Work};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions};
use std::collections::BTreeMap;
use std::ffi::CString;

/// A worker that has been told to end gets this priority, so that nothing keeps it from doing so.
const DYING_PRIORITY: u8 = 98;
/// Guest time in which a killed worker has to be gone.
const DEATH_NS_MAX: u64 = 10_000_000_000;
/// Between two looks whether it is.
const DEATH_POLL_NS: u64 = 200_000;

/// A worker that is alive.
#[derive(Debug, Clone, Copy)]
pub struct Worker {
    /// Its process.
    pub pid: Pid,
    /// The cgroup it is in.
    pub cgroup: u32,
    /// CPU time at the start of the segment.
    pub cpu_ns: u64,
    /// Run delay at the start of the segment.
    pub run_delay_ns: u64,
}

/// All workers of a case, and the memory they share with the agent.
pub struct Workers {
    /// Which segment runs.
    pub board: &'static Board,
    gates: &'static [Gate],
    slots: &'static [WorkerSlot],
    pairs: &'static [PairSlot],
    /// Groups that wait at their gates.
    waiting: Vec<u32>,
    alive: BTreeMap<u32, Worker>,
    /// Every worker that was ever started, by its process id. A case starts too few processes for an id to come again.
    started: BTreeMap<u32, u32>,
    /// Children that have been buried and were no workers, with their wait statuses.
    others: Vec<(Pid, i32)>,
}

impl Workers {
    /// Maps the shared memory for the workers of `plan`.
    ///
    /// # Errors
    /// If the plan has too many, or the kernel refuses.
    pub fn new(plan: &Plan) -> Result<Self, GuestError> {
        let doing = || "map the memory shared with the workers".to_owned();
        let count = plan.workers();
        if count > WORKERS_MAX {
            return Err(GuestError::new(doing(), format!("{count} workers are more than {WORKERS_MAX}")));
        }
        // A pair of pipes is open while its workers are started.
        let limit = Rlimit { current: Some(4096), maximum: Some(4096) };
        let _ = rustix::process::setrlimit(Resource::Nofile, limit);
        let count = count as usize;
        let board = map_shared::<Board>(1).doing(doing)?.first();
        Ok(Self {
            board: board.ok_or_else(|| GuestError::new(doing(), "the mapping is empty"))?,
            gates: map_shared(plan.groups.len()).doing(doing)?,
            slots: map_shared(count).doing(doing)?,
            pairs: map_shared(count.div_ceil(2)).doing(doing)?,
            waiting: Vec::new(),
            alive: BTreeMap::new(),
            started: BTreeMap::new(),
            others: Vec::new(),
        })
    }

    /// Workers that are alive, by id.
    pub fn alive(&mut self) -> impl Iterator<Item = (u32, &mut Worker)> {
        self.alive.iter_mut().map(|(id, worker)| (*id, worker))
    }

    /// The worker whose process this is or was.
    pub fn worker_of(&self, pid: u32) -> Option<u32> {
        self.started.get(&pid).copied()
    }

    /// What a worker writes.
    pub fn slot(&self, worker: u32) -> Option<&'static WorkerSlot> {
        self.slots.get(worker as usize)
    }

    /// Starts the workers of a group; they wait at the gate.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn start(
        &mut self,
        plan: &Plan,
        index: u32,
        cgroups: &Cgroups,
        reporter: &mut Reporter,
    ) -> Result<(), GuestError> {
        let group = plan.groups.get(index as usize);
        let missing = || GuestError::new(format!("start group number {index}"), "the plan has no such group");
        let (group, gate) = group.zip(self.gates.get(index as usize)).ok_or_else(missing)?;
        let mut links = Vec::new();
        for number in 0..group.workers {
            let id = group.first_worker + number;
            let name = || format!("{} in cgroup {}", plan.worker_name(id), cgroups.name(group.cgroup));
            if links.is_empty() {
                links = self.links(&group.work, id).doing(|| format!("connect {}", name()))?;
            }
            let link = links.pop().unwrap_or(Link::None);
            let slot = self.slot(id).ok_or_else(missing)?;
            let board = self.board;
            let name_in_kernel = in_kernel(&plan.worker_name(id));
            let setup = WorkerSetup {
                worker: id,
                name: name_in_kernel,
                seed: plan.seed,
                work: group.work.clone(),
                link,
                board,
                gate,
                slot,
            };
            let pid = process::spawn(|| worker::run(setup)).doing(|| format!("start {}", name()))?;
            let worker = Worker { pid, cgroup: group.cgroup, cpu_ns: 0, run_delay_ns: 0 };
            self.alive.insert(id, worker);
            self.started.insert(pid.as_raw_nonzero().get().unsigned_abs(), id);
            cgroups.attach(group.cgroup, pid)?;
            prepare(pid, group, number)
                .map_err(|error| GuestError { doing: format!("{} for {}", error.doing, name()), ..error })?;
            reporter.beat();
        }
        self.waiting.push(index);
        Ok(())
    }

    /// What connects a worker and those that follow it, last one first.
    fn links(&self, work: &Work, first: u32) -> std::io::Result<Vec<Link>> {
        match work {
            Work::CpuSpin | Work::YieldHeavy | Work::Bursty { .. } => Ok(vec![Link::None]),
            Work::PipePingPong => {
                let (read_a, write_b) = rustix::pipe::pipe()?;
                let (read_b, write_a) = rustix::pipe::pipe()?;
                let a = Link::Pipe { read: read_a, write: write_a, first: true };
                Ok(vec![Link::Pipe { read: read_b, write: write_b, first: false }, a])
            }
            Work::FutexPingPong | Work::RacyCounter => {
                let pair = self.pairs.get(first as usize / 2);
                let pair = pair.ok_or_else(|| std::io::Error::other("the plan has too few workers"))?;
                Ok(vec![Link::Shared { pair, side: 1 }, Link::Shared { pair, side: 0 }])
            }
        }
    }

    /// Opens the gates of all groups that wait; whether there were any.
    pub fn release(&mut self) -> bool {
        let any = !self.waiting.is_empty();
        for group in self.waiting.drain(..) {
            if let Some(gate) = self.gates.get(group as usize) {
                worker::open(gate);
            }
        }
        any
    }

    /// Moves all workers of one cgroup to another.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn move_tasks(&mut self, from: u32, to: u32, cgroups: &Cgroups) -> Result<(), GuestError> {
        for worker in self.alive.values_mut().filter(|worker| worker.cgroup == from) {
            cgroups.attach(to, worker.pid)?;
            worker.cgroup = to;
        }
        Ok(())
    }

    /// Stops the workers of a cgroup and waits until they are gone.
    ///
    /// # Errors
    /// If one does not go.
    pub fn stop(&mut self, cgroup: u32, plan: &Plan, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.reap(reporter)?;
        let mut dying: Vec<(u32, Pid)> = Vec::new();
        self.alive.retain(|id, worker| {
            if worker.cgroup == cgroup {
                dying.push((*id, worker.pid));
            }
            worker.cgroup != cgroup
        });
        for (id, pid) in &dying {
            let killed = rustix::process::kill_process(*pid, Signal::KILL);
            killed.doing(|| format!("stop {}", plan.worker_name(*id)))?;
            // It may have become a zombie in between; then there is nothing to hasten.
            let _ = process::set_policy(*pid, Policy::Fifo(DYING_PRIORITY));
        }
        let deadline = clock::now() + DEATH_NS_MAX;
        for (id, pid) in dying {
            let doing = || format!("stop {}", plan.worker_name(id));
            while rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).doing(doing)?.is_none() {
                if clock::now() > deadline {
                    return Err(GuestError::new(doing(), "it was killed 10 s ago and has not ended"));
                }
                reporter.wait_until(clock::now() + DEATH_POLL_NS);
            }
        }
        Ok(())
    }

    /// Reports workers that have ended by themselves, and buries orphans, which come to process 1.
    ///
    /// # Errors
    /// That of the ring.
    pub fn reap(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        // An error says that there are no children.
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let id = self.alive.iter().find_map(|(id, worker)| (worker.pid == pid).then_some(*id));
            match id {
                Some(worker) => self.ended(worker, status.as_raw(), reporter)?,
                None => self.others.push((pid, status.as_raw())),
            }
        }
        Ok(())
    }

    /// The wait status of a child that was no worker, once it has been buried.
    pub fn take_status(&mut self, child: Pid) -> Option<i32> {
        let at = self.others.iter().position(|(pid, _)| *pid == child)?;
        Some(self.others.swap_remove(at).1)
    }

    /// Forgets all children that have been buried but this one, which is still asked for.
    pub fn forget_others_but(&mut self, child: Pid) {
        self.others.retain(|(pid, _)| *pid == child);
    }

    fn ended(&mut self, worker: u32, status: i32, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.alive.remove(&worker);
        reporter.send(What::WorkerDied { worker, status })
    }
}

/// The name of a worker as the kernel takes it, of at most 15 bytes; the number stays whole: `futex_ping_p/12`.
fn in_kernel(name: &str) -> CString {
    const BYTES_MAX: usize = 15;
    let (work, number) = name.rsplit_once('/').unwrap_or((name, ""));
    let room = BYTES_MAX.saturating_sub(number.len() + 1);
    let name = format!("{}/{number}", work.get(..room).unwrap_or(work));
    CString::new(name).unwrap_or_default()
}

/// Sets what a worker of `group` has before it runs.
fn prepare(pid: Pid, group: &GroupPlan, number: u32) -> Result<(), GuestError> {
    if !group.affinity.is_empty() {
        let cpus = group.affinity.get(number as usize);
        let cpus = cpus.ok_or_else(|| GuestError::new("set the affinity", "the plan has none for it"))?;
        rustix::thread::sched_setaffinity(Some(pid), &affinity(cpus)).doing(|| format!("set the affinity {cpus}"))?;
    }
    if group.nice != 0 {
        let nice = i32::from(group.nice);
        rustix::process::setpriority_process(Some(pid), nice).doing(|| format!("set nice {nice}"))?;
    }
    if group.policy != Policy::Other {
        process::set_policy(pid, group.policy).doing(|| format!("set the policy {:?}", group.policy))?;
    }
    Ok(())
}

fn affinity(cpus: &CpuSet) -> rustix::thread::CpuSet {
    let mut mask = rustix::thread::CpuSet::new();
    cpus.iter().for_each(|cpu| mask.set(cpu as usize));
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_channel::{RingReader, Window};

    #[test]
    fn a_worker_that_ends_by_itself_is_reported_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let window = directory.path().join("window");
        let host = Window::create(&window).expect("a window");
        let mut reporter = Reporter::over(&window, 0).expect("reaches it");
        let plan = Plan { seed: 0, cgroups: vec![], groups: vec![], steps: vec![], trace: vec![], scheduler: None };
        let mut workers = Workers::new(&plan).expect("maps");
        let pid = process::spawn(|| 7).expect("forks");
        workers.alive.insert(3, Worker { pid, cgroup: 0, cpu_ns: 0, run_delay_ns: 0 });
        // Not by `reap`: other tests of this process have children of their own.
        let waited = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        let (_, status) = waited.expect("is a child").expect("has ended");
        workers.ended(3, status.as_raw(), &mut reporter).expect("is sent");
        assert_eq!(workers.alive().count(), 0);
        let events = RingReader::default().poll(&host).events;
        let whats: Vec<What> = events.into_iter().map(|event| event.what).collect();
        assert_eq!(whats, [What::WorkerDied { worker: 3, status: 7 << 8 }]);
    }

    #[test]
    fn names_fit_into_the_kernels() {
        assert_eq!(in_kernel("cpu_spin/3").as_c_str(), c"cpu_spin/3");
        assert_eq!(in_kernel("futex_ping_pong/12").as_c_str(), c"futex_ping_p/12");
    }

    #[test]
    fn too_many_workers_are_refused() {
        let group = GroupPlan {
            cgroup: 0,
            first_worker: 0,
            workers: WORKERS_MAX + 1,
            work: Work::CpuSpin,
            affinity: vec![],
            policy: Policy::Other,
            nice: 0,
        };
        let plan =
            Plan { seed: 0, cgroups: vec![], groups: vec![group], steps: vec![], trace: vec![], scheduler: None };
        let error = Workers::new(&plan).err().expect("refused").to_string();
        assert_eq!(error, "failed to map the memory shared with the workers: 4097 workers are more than 4096");
    }
}
