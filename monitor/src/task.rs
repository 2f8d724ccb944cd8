//! All tasks of a kernel (`struct task_struct`): one read a task, on the lists that `for_each_process_thread` takes.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Content, Layout, Slot, Span};
use crate::list::{walk, End};
use crate::page_table::Gva;
use ktstr_btf::present;
use std::collections::HashMap;

/// No guest of a test has more; a walk ends there.
const TASKS_MAX: usize = 1 << 16;
/// How often the lists are walked if they change meanwhile.
const ATTEMPTS: usize = 3;
/// PF_KTHREAD (include/linux/sched.h).
const PF_KTHREAD: u64 = 0x0020_0000;
/// DEFAULT_PRIO (include/linux/sched/prio.h).
const NICE_0: i64 = 120;
/// JOBCTL_TRAP_FREEZE (include/linux/sched/jobctl.h): its cgroup is to be frozen.
const JOBCTL_TRAP_FREEZE: u64 = 1 << 23;
/// SCHED_NORMAL, SCHED_BATCH, SCHED_IDLE (include/uapi/linux/sched.h): the policies for which `cpu.max` holds.
const FAIR: [u32; 3] = [0, 3, 5];

/// One thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its `task_struct`.
    pub at: Gva,
    /// Its number, in the root namespace.
    pub pid: i32,
    /// Number of its process.
    pub tgid: i32,
    /// Its name.
    pub comm: String,
    /// Whether it is the kernel's own.
    pub is_kernel: bool,
    /// `TASK_*`; 0: it can run.
    pub state: u32,
    /// Its CPU: where it runs, waits, or ran last.
    pub cpu: u32,
    /// Whether it runs.
    pub on_cpu: bool,
    /// Whether a runqueue has it.
    pub on_rq: bool,
    /// `SCHED_*`.
    pub policy: u32,
    /// Its nice value, -20 to 19: `static_prio` without 120.
    pub nice: i8,
    /// The CPUs that it may use (`cpus_mask`), 64 a word.
    pub allowed: Vec<u64>,
    /// `sched_info.run_delay`: nanoseconds that it has waited in all.
    pub run_delay: u64,
    /// `sched_info.pcount`: how often it got a CPU.
    pub runs: u64,
    /// `sched_info.last_queued`: since when it waits, by the clock of its runqueue; 0 if it does not.
    pub last_queued: u64,
    /// `se.sum_exec_runtime`: nanoseconds on CPUs in all.
    pub runtime: u64,
    /// Whether the freezer of cgroups stopped it, and has not let it go. One that was let go and did not run since says that it is frozen, too.
    pub is_frozen: bool,
    /// What sched_ext knows of it, if the kernel has that.
    pub scx: Option<ScxTask>,
    /// `throttled`, from 6.18 on: it used up its `cpu.max` itself. Before, all of its `cfs_rq` did.
    pub(crate) throttled: Option<bool>,
    pub(crate) cfs_rq: Gva,
}

/// `struct sched_ext_entity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScxTask {
    /// `SCX_TASK_*`.
    pub flags: u64,
    /// When it became runnable, in jiffies.
    pub runnable_at: u64,
    /// The dispatch queue that it is in, or NULL.
    pub dsq: Gva,
    /// Nanoseconds that it may still run.
    pub slice: u64,
    /// Its place in queues that are ordered by it.
    pub dsq_vtime: u64,
    /// Its weight; 100 is that of nice 0.
    pub weight: u64,
}

impl Task {
    /// How long it has waited for a CPU, by the clock of its runqueue; `None` if it does not wait.
    pub fn waiting(&self, rq_clock: u64) -> Option<u64> {
        // The clock of a runqueue may be a little behind the one that the kernel took.
        (self.last_queued != 0 && !self.on_cpu).then(|| rq_clock.saturating_sub(self.last_queued))
    }
}

/// What one walk saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllTasks {
    /// All threads, those of a process behind each other.
    pub tasks: Vec<Task>,
    /// Whether that is all of them.
    pub end: End,
}

/// In the order in which [`Tasks::task`] takes them.
const NUMBERS: [&str; 13] = [
    "pid",
    "tgid",
    "flags",
    "__state",
    "thread_info.cpu",
    "on_cpu",
    "on_rq",
    "policy",
    "static_prio",
    "sched_info.run_delay",
    "sched_info.pcount",
    "sched_info.last_queued",
    "se.sum_exec_runtime",
];
const SCX: [&str; 6] = ["scx.flags", "scx.runnable_at", "scx.dsq", "scx.slice", "scx.dsq_vtime", "scx.weight"];

/// Where everything is in a kernel's tasks.
#[derive(Debug)]
pub struct Tasks {
    span: Span,
    init_task: Gva,
    thread_head: u64,
    tasks: [Slot; 2],
    threads: [Slot; 2],
    signal: Slot,
    comm: Slot,
    allowed: u64,
    mask_words: usize,
    numbers: [Slot; 13],
    frozen: Option<[Slot; 2]>,
    throttled: Option<Slot>,
    cfs_rq: Option<Slot>,
    throttle_count: Option<u64>,
    scx: Option<[Slot; 6]>,
}

impl Tasks {
    /// Looks everything up once.
    ///
    /// # Errors
    /// The kernel lacks what every kernel has.
    pub fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut task = Layout::new(kernel.btf(), "task_struct");
        let mask_words = kernel.cpus().div_ceil(64);
        // Of a mask for as many CPUs as a kernel may have.
        let allowed = kernel.btf().field("task_struct", "cpus_mask")?.offset;
        task.bytes(allowed, 8 * mask_words as u64);
        Ok(Self {
            init_task: kernel.symbol("init_task")?,
            thread_head: kernel.btf().field("signal_struct", "thread_head")?.offset,
            tasks: task.fields(["tasks.next", "tasks.prev"])?,
            threads: task.fields(["thread_node.next", "thread_node.prev"])?,
            signal: task.field("signal")?,
            comm: task.field("comm")?,
            allowed,
            mask_words,
            numbers: task.fields(NUMBERS)?,
            frozen: present(task.fields(["frozen", "jobctl"]))?,
            throttled: present(task.field("throttled"))?,
            cfs_rq: present(task.field("se.cfs_rq"))?,
            throttle_count: present(kernel.btf().field("cfs_rq", "throttle_count"))?.map(|field| field.offset),
            scx: present(task.fields(SCX))?,
            span: task.span(),
        })
    }

    /// One task.
    ///
    /// # Errors
    /// Its memory cannot be read.
    pub fn read(&self, kernel: &Kernel, at: Gva) -> Result<Task, ReadError> {
        Ok(self.task(at, &self.span.read(kernel, at)?))
    }

    /// Whether a task may not run because its cgroup, or one above, has used up its `cpu.max`.
    ///
    /// # Errors
    /// Its runqueue cannot be read.
    pub fn is_throttled(&self, kernel: &Kernel, task: &Task) -> Result<bool, ReadError> {
        match (task.throttled, self.throttle_count) {
            _ if !FAIR.contains(&task.policy) => Ok(false),
            (Some(throttled), _) => Ok(throttled),
            (None, Some(offset)) if task.cfs_rq != Gva(0) => Ok(kernel.half(task.cfs_rq.plus(offset))? != 0),
            (None, _) => Ok(false),
        }
    }

    /// All tasks but the idle ones. While the guest runs they come and go: the lists are walked again if they do, a few times.
    ///
    /// # Errors
    /// The lists cannot be read at all.
    pub fn all(&self, kernel: &Kernel) -> Result<AllTasks, ReadError> {
        self.all_like(kernel, &[])
    }

    /// As [`Tasks::all`]; most of them are expected at the places `known`, which are read at once.
    pub(crate) fn all_like(&self, kernel: &Kernel, known: &[Gva]) -> Result<AllTasks, ReadError> {
        let mut tasks = Vec::new();
        let read = self.span.read_many(kernel, known);
        let mut read: HashMap<Gva, Content> =
            known.iter().copied().zip(read).filter_map(|(at, content)| Some((at, content?))).collect();
        let mut walked = Ok(End::Torn);
        for _ in 0..ATTEMPTS {
            tasks.clear();
            walked = self.walk(kernel, &mut tasks, &mut read);
            if matches!(walked, Ok(End::Complete | End::TooLong)) {
                break;
            }
        }
        Ok(AllTasks { tasks, end: walked? })
    }

    /// What was read before is taken, once; anything else is read.
    fn walk(&self, kernel: &Kernel, tasks: &mut Vec<Task>, read: &mut HashMap<Gva, Content>) -> Result<End, ReadError> {
        let head = self.init_task.plus(self.tasks[0].offset);
        let init = self.span.read(kernel, self.init_task)?;
        let mut threads = End::Complete;
        let processes = walk(head, head, init.links(&self.tasks).next, TASKS_MAX, |node| {
            let at = node.minus(self.tasks[0].offset);
            let leader = read.remove(&at).map_or_else(|| self.span.read(kernel, at), Ok)?;
            tasks.push(self.task(at, &leader));
            threads = threads.max(self.threads(kernel, at, &leader, tasks, read)?);
            Ok(leader.links(&self.tasks))
        })?;
        Ok(processes.max(threads))
    }

    /// The other threads of a process. Its leader is the first on the list.
    fn threads(
        &self,
        kernel: &Kernel,
        at: Gva,
        leader: &Content,
        tasks: &mut Vec<Task>,
        read: &mut HashMap<Gva, Content>,
    ) -> Result<End, ReadError> {
        let head = Gva(leader.number(&self.signal)).plus(self.thread_head);
        let (from, next) = (at.plus(self.threads[0].offset), leader.links(&self.threads).next);
        let most = TASKS_MAX.saturating_sub(tasks.len());
        walk(head, from, next, most, |node| {
            let at = node.minus(self.threads[0].offset);
            let thread = read.remove(&at).map_or_else(|| self.span.read(kernel, at), Ok)?;
            tasks.push(self.task(at, &thread));
            Ok(thread.links(&self.threads))
        })
    }

    fn task(&self, at: Gva, content: &Content) -> Task {
        let [pid, tgid, flags, state, cpu, on_cpu, on_rq, policy, static_prio, run_delay, runs, last_queued, runtime] =
            content.numbers(&self.numbers);
        let scx = self.scx.as_ref().map(|slots| {
            let [flags, runnable_at, dsq, slice, dsq_vtime, weight] = content.numbers(slots);
            ScxTask { flags, runnable_at, dsq: Gva(dsq), slice, dsq_vtime, weight }
        });
        let frozen = self.frozen.as_ref().map(|slots| content.numbers(slots));
        Task {
            at,
            pid: pid as i32,
            tgid: tgid as i32,
            comm: content.text(&self.comm),
            is_kernel: flags & PF_KTHREAD != 0,
            state: state as u32,
            cpu: cpu as u32,
            on_cpu: on_cpu != 0,
            on_rq: on_rq != 0,
            policy: policy as u32,
            nice: (static_prio as i64 - NICE_0) as i8,
            allowed: content.words(self.allowed, self.mask_words),
            run_delay,
            runs,
            last_queued,
            runtime,
            is_frozen: frozen.is_some_and(|[frozen, jobctl]| frozen != 0 && jobctl & JOBCTL_TRAP_FREEZE != 0),
            scx,
            throttled: self.throttled.as_ref().map(|slot| content.number(slot) != 0),
            cfs_rq: Gva(self.cfs_rq.as_ref().map_or(0, |slot| content.number(slot))),
        }
    }
}
