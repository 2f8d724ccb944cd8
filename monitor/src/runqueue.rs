//! Runqueues (`struct rq`, kernel/sched/sched.h): one read a CPU, and the task that it runs.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Content, Layout, Slot, Span};
use crate::page_table::Gva;
use ktstr_btf::present;

/// PID_MAX_LIMIT: no runqueue has more tasks.
const TASKS_MAX: u64 = 4 << 20;
/// How often a runqueue is read whose current task changes meanwhile.
const ATTEMPTS: usize = 3;

/// What a CPU's runqueue says. It is read in one go, but not at one instant unless the machine is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runqueue {
    /// Its CPU.
    pub cpu: usize,
    /// Runnable tasks, the current one among them.
    pub nr_running: u64,
    /// Tasks that sleep and that EEVDF still has in its queue (`sched_delayed`): `nr_running` counts them.
    pub delayed: u64,
    /// `rq_sched_info`: how long its tasks have waited, and how often one began to run; none without CONFIG_SCHEDSTATS.
    pub sched_info: Option<[u64; 2]>,
    /// Its clock in nanoseconds; it stands while the CPU is idle.
    pub clock: u64,
    /// Who runs.
    pub curr: Current,
    /// Its part of sched_ext, if the kernel has that.
    pub scx: Option<ScxRunqueue>,
}

/// The task that a CPU runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its `task_struct`.
    pub at: Gva,
    /// 0 if the CPU is idle.
    pub pid: i32,
    /// Its name.
    pub comm: String,
}

/// `struct scx_rq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScxRunqueue {
    /// Runnable tasks of sched_ext.
    pub nr_running: u64,
    /// `SCX_RQ_*`.
    pub flags: u64,
    /// Tasks in the local dispatch queue.
    pub local_dsq_nr: u64,
}

/// Where everything is in a kernel's runqueues.
#[derive(Debug)]
pub struct Runqueues {
    span: Span,
    nr_running: Slot,
    clock: Slot,
    curr: Slot,
    idle: Slot,
    cfs: Option<[Slot; 2]>,
    sched_info: Option<[Slot; 2]>,
    scx: Option<[Slot; 3]>,
    task: Span,
    task_numbers: [Slot; 2],
    comm: Slot,
    /// `cpu_rq(cpu)`.
    rqs: Vec<Gva>,
}

impl Runqueues {
    /// Looks everything up once.
    ///
    /// # Errors
    /// The kernel lacks what every kernel has.
    pub fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut rq = Layout::new(kernel.btf(), "rq");
        let mut task = Layout::new(kernel.btf(), "task_struct");
        let rqs = (0..kernel.cpus()).map(|cpu| kernel.per_cpu("runqueues", cpu)).collect::<Result<_, _>>()?;
        Ok(Self {
            nr_running: rq.field("nr_running")?,
            clock: rq.field("clock")?,
            curr: rq.field("curr")?,
            idle: rq.field("idle")?,
            // With delayed dequeue, 6.12.
            cfs: present(rq.fields(["cfs.h_nr_queued", "cfs.h_nr_runnable"]))?,
            sched_info: present(rq.fields(["rq_sched_info.run_delay", "rq_sched_info.pcount"]))?,
            // None without CONFIG_SCHED_CLASS_EXT.
            scx: present(rq.fields(["scx.nr_running", "scx.flags", "scx.local_dsq.nr"]))?,
            span: rq.span(),
            task_numbers: task.fields(["thread_info.cpu", "pid"])?,
            comm: task.field("comm")?,
            task: task.span(),
            rqs,
        })
    }

    /// Whether the kernel has `rq_sched_info`.
    pub fn has_sched_info(&self) -> bool {
        self.sched_info.is_some()
    }

    /// `cpu_rq(cpu)`.
    ///
    /// # Errors
    /// There is no such CPU.
    pub fn cpu_rq(&self, cpu: usize) -> Result<Gva, ReadError> {
        self.rqs.get(cpu).copied().ok_or(ReadError::NoCpu { cpu, cpus: self.rqs.len() })
    }

    /// Reads the runqueue of `cpu`.
    ///
    /// # Errors
    /// Its memory cannot be read, it says what cannot be, or its current task was another one with each look.
    pub fn read(&self, kernel: &Kernel, cpu: usize) -> Result<Runqueue, ReadError> {
        let at = self.cpu_rq(cpu)?;
        for _ in 0..ATTEMPTS {
            let rq = self.span.read(kernel, at)?;
            let task = self.running(&rq).and_then(|task| self.task.read(kernel, task).ok());
            if let Some(seen) = self.with_task(cpu, &rq, task.as_ref()) {
                return seen;
            }
        }
        Err(ReadError::Torn("the task that a CPU runs"))
    }

    /// Reads those of `cpus`: first all of them at once, then the tasks that they run.
    pub(crate) fn read_many(&self, kernel: &Kernel, cpus: &[usize]) -> Vec<Result<Runqueue, ReadError>> {
        let at: Vec<Gva> = cpus.iter().map(|cpu| self.cpu_rq(*cpu).unwrap_or(Gva(0))).collect();
        let rqs = self.span.read_many(kernel, &at);
        let tasks: Vec<Option<Gva>> = rqs.iter().map(|rq| self.running(rq.as_ref()?)).collect();
        let mut seen = self.task.read_many(kernel, &tasks.iter().copied().flatten().collect::<Vec<_>>()).into_iter();
        let tasks = tasks.into_iter().map(|task| task.and_then(|_| seen.next()).flatten());
        let read = |((cpu, rq), task): ((&usize, Option<Content>), Option<Content>)| {
            rq.and_then(|rq| self.with_task(*cpu, &rq, task.as_ref())).unwrap_or_else(|| self.read(kernel, *cpu))
        };
        cpus.iter().zip(rqs).zip(tasks).map(read).collect()
    }

    /// The task that a CPU runs, if it is not the idle one.
    fn running(&self, rq: &Content) -> Option<Gva> {
        let task = rq.number(&self.curr);
        (rq.number(&self.idle) != task).then_some(Gva(task))
    }

    /// `None`: its task is another one by now.
    fn with_task(&self, cpu: usize, rq: &Content, task: Option<&Content>) -> Option<Result<Runqueue, ReadError>> {
        let at = Gva(rq.number(&self.curr));
        if self.running(rq).is_none() {
            return Some(self.decoded(cpu, rq, Current { at, pid: 0, comm: format!("swapper/{cpu}") }));
        }
        // It may have exited or moved by now. Its `on_cpu` says less: that is set a little later than `curr`.
        let task = task?;
        let [its_cpu, pid] = task.numbers(&self.task_numbers);
        let curr = Current { at, pid: pid as i32, comm: task.text(&self.comm) };
        (its_cpu == cpu as u64).then(|| self.decoded(cpu, rq, curr))
    }

    fn decoded(&self, cpu: usize, rq: &Content, curr: Current) -> Result<Runqueue, ReadError> {
        let count = |what: &'static str, slot: &Slot| match rq.number(slot) {
            seen @ 0..=TASKS_MAX => Ok(seen),
            seen => Err(ReadError::Absurd { what, seen, most: TASKS_MAX }),
        };
        let scx = match &self.scx {
            Some([nr_running, flags, local_dsq_nr]) => Some(ScxRunqueue {
                nr_running: count("rq.scx.nr_running", nr_running)?,
                flags: rq.number(flags),
                local_dsq_nr: count("rq.scx.local_dsq.nr", local_dsq_nr)?,
            }),
            None => None,
        };
        let nr_running = count("rq.nr_running", &self.nr_running)?;
        let queued = self.cfs.as_ref().map(|slots| rq.numbers(slots));
        let delayed = queued.map_or(0, |[queued, runnable]| queued.saturating_sub(runnable).min(nr_running));
        let sched_info = self.sched_info.as_ref().map(|slots| rq.numbers(slots));
        Ok(Runqueue { cpu, nr_running, delayed, sched_info, clock: rq.number(&self.clock), curr, scx })
    }
}
