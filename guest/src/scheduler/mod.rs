//! The scheduler under test: its files, its process, and what the kernel says of it.
//!
//! ```text
//! payload ──files──▶ /run/ktstr/bin/<name> ──Scheduler::start──▶ process
//! process ──output──▶ What::SchedulerOutput      kernel ──kernel, log, dump──▶ What::SchedExt, What::KernelLog, What::SchedExtDump
//! ```
//!
//! Whether it is attached is what `/sys/kernel/sched_ext/state` says, never how much time has passed. Everything here only looks
//! and never waits for the scheduler: the agent goes on with its heartbeat whatever the scheduler does to the machine.

mod command;
mod dump;
mod kernel;
mod log;
mod output;
mod process;

use crate::files;
pub use command::Command;
use dump::Dump;
use ktstr_channel::payload::SCHEDULER;
use ktstr_init::clock;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::mounts;
use ktstr_init::reporter::Reporter;
use ktstr_init::stage_one::payload_path;
use ktstr_model::scheduler::{Awaited, SchedExtState, SchedulerOverdue};
use ktstr_model::{Nanos, SchedulerPlan, What};
use log::KernelLog;
use output::Output;
use rustix::process::{Pid, Signal};
use std::fs;
use std::path::Path;

/// Guest time in which a scheduler that was attached and whose process goes on has to come back, besides twice the time that it took to
/// attach: some detach and attach anew when CPUs come or go.
const RETURN_NS: u64 = 5_000_000_000;
const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";

/// How it stands with a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is not attached, and may come to it.
    Waiting,
    /// It is attached.
    Attached,
    /// It is not there any more, or will not be.
    Gone,
}

/// A scheduler that was started.
#[derive(Debug)]
pub struct Scheduler {
    plan: SchedulerPlan,
    pid: Pid,
    output: Output,
    log: KernelLog,
    dump: Option<Dump>,
    state: SchedExtState,
    /// `enable_seq` before the start.
    seq_before: u64,
    exited: bool,
    /// Whether it was told to end.
    told: bool,
    /// When its process was started.
    started: u64,
    /// How long it took to attach, once it has.
    attach_ns: Option<u64>,
    /// Since when one that was attached is not.
    away_since: Option<u64>,
}

/// Unpacks the files of a scheduler to where they are looked for.
///
/// # Errors
/// What is missing.
pub fn lay(reporter: &mut Reporter) -> Result<(), GuestError> {
    mounts::mount_for_scheduler()?;
    files::unpack(&payload_path(SCHEDULER), Path::new("/"), reporter)?;
    let path = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(path).doing(|| format!("read {path}"))?;
    files::link_config(Path::new("/"), release.trim())
}

impl Scheduler {
    /// Unpacks the files and starts the process. `traced` says that the kernel's trace buffers are for something else.
    ///
    /// # Errors
    /// What is missing, or another scheduler that is there already.
    pub fn start(plan: &SchedulerPlan, traced: bool, reporter: &mut Reporter) -> Result<Self, GuestError> {
        let doing = || format!("start the scheduler {}", plan.name);
        let state = kernel::state(Path::new(kernel::SCHED_EXT)).map_err(|error| GuestError::new(doing(), error))?;
        if state.state != DISABLED {
            let problem = format!("sched_ext is {} already, by {:?}: there can be only one", state.state, state.ops);
            return Err(GuestError::new(doing(), problem));
        }
        lay(reporter)?;
        let log = KernelLog::open()?;
        let dump = if traced { None } else { Dump::open() };
        reporter.send(What::SchedExt(state.clone()))?;
        let started = clock::now();
        let process::Started { pid, stdout, stderr } = process::start(plan)?;
        reporter.send(What::SchedulerStarted { pid: pid.as_raw_nonzero().get().unsigned_abs() })?;
        let output = Output::new(stdout, stderr)?;
        let (plan, seq_before) = (plan.clone(), state.enable_seq);
        let (exited, told, attach_ns, away_since) = (false, false, None, None);
        Ok(Self { plan, pid, output, log, dump, state, seq_before, exited, told, started, attach_ns, away_since })
    }

    /// Starts the process once more, with other arguments from now on if there are any; nothing may be left of it.
    ///
    /// # Errors
    /// It cannot be started; another scheduler that has taken its place.
    pub fn start_again(&mut self, args: Option<&[String]>, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.look(reporter)?;
        if !self.is_over() {
            let problem = format!("sched_ext is {}, by {:?}", self.state.state, self.state.ops);
            return Err(GuestError::new(format!("start the scheduler {} again", self.plan.name), problem));
        }
        args.into_iter().for_each(|args| self.plan.args = args.to_vec());
        (self.started, self.attach_ns) = (clock::now(), None);
        let process::Started { pid, stdout, stderr } = process::start(&self.plan)?;
        reporter.send(What::SchedulerStarted { pid: pid.as_raw_nonzero().get().unsigned_abs() })?;
        // Each life begins with what the kernel shows.
        reporter.send(What::SchedExt(self.state.clone()))?;
        (self.pid, self.output) = (pid, Output::new(stdout, stderr)?);
        (self.seq_before, self.exited, self.told, self.away_since) = (self.state.enable_seq, false, false, None);
        Ok(())
    }

    /// Runs its program once more, beside it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn command(&self, args: &[String]) -> Result<Command, GuestError> {
        Command::start(&self.plan, args)
    }

    /// Leaves the kernel's trace buffers to somebody else.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn leave_trace(&mut self) -> Result<(), GuestError> {
        self.dump.take().map_or(Ok(()), Dump::close)
    }

    /// Guest time in which it has to be attached.
    pub fn attach_max(&self) -> Nanos {
        self.plan.attach_max
    }

    /// Guest time in which it has to be gone once it is told to end.
    pub fn detach_max(&self) -> Nanos {
        self.plan.detach_max
    }

    /// Sends what is new.
    ///
    /// # Errors
    /// That of the ring, or of a file of the kernel that was there before.
    pub fn look(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        let state = kernel::state(Path::new(kernel::SCHED_EXT))?;
        if state != self.state {
            reporter.send(What::SchedExt(state.clone()))?;
            self.state = state;
        }
        self.log.look(reporter)?;
        if let Some(dump) = &mut self.dump {
            dump.look(reporter)?;
        }
        self.output.look(reporter)
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Takes notice of the end of its process.
    ///
    /// # Errors
    /// That of the ring.
    pub fn ended(&mut self, status: i32, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.exited = true;
        self.output.finish(reporter)?;
        reporter.send(What::SchedulerExited { status })
    }

    /// How it stands at guest time `now`, after a look.
    pub fn standing(&mut self, now: u64) -> Standing {
        if self.exited {
            return Standing::Gone;
        }
        if self.state.state == ENABLED {
            self.attach_ns.get_or_insert(now.saturating_sub(self.started));
            self.away_since = None;
            return Standing::Attached;
        }
        if self.state.enable_seq == self.seq_before {
            return Standing::Waiting;
        }
        let since = *self.away_since.get_or_insert(now);
        let most = RETURN_NS.saturating_add(self.attach_ns.unwrap_or_default().saturating_mul(2));
        if now.saturating_sub(since) > most {
            Standing::Gone
        } else {
            Standing::Waiting
        }
    }

    /// Whether nothing is left of it: its process has ended, and the kernel has detached it.
    pub fn is_over(&self) -> bool {
        self.exited && self.state.state == DISABLED
    }

    /// Whether it was told to end.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// Tells it to end, if it has not ended.
    ///
    /// # Errors
    /// That of the ring.
    pub fn tell(&mut self, signal: Signal, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.told = true;
        if self.exited {
            return Ok(());
        }
        reporter.send(What::SchedulerSignalled { signal: signal.as_raw() })?;
        // One that has ended and was not buried yet takes no harm.
        let _ = rustix::process::kill_process(self.pid, signal);
        Ok(())
    }

    /// Says that it was waited for in vain since `since`.
    ///
    /// # Errors
    /// That of the ring.
    pub fn overdue(&self, awaited: Awaited, since: u64, reporter: &mut Reporter) -> Result<(), GuestError> {
        let waited = Nanos(clock::now().saturating_sub(since));
        let (process, stack) = if self.exited { ('-', Vec::new()) } else { process::whereabouts(self.pid) };
        reporter.send(What::SchedulerOverdue(SchedulerOverdue { awaited, waited, process, stack }))
    }
}
