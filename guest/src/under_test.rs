//! The life of the scheduler under test, if the plan has one: attached before the first step, watched, told to end after the last.
//!
//! ```text
//! attach ──▶ (enabled) ──▶ steps, with a look at each nap ──▶ detach ──▶ (disabled, process gone)
//!        └──▶ gone ◀───────────┤            gone: settle, then the plan is broken off
//!                  stop ──▶ start_again     in a step
//! ```
//!
//! All of it is written down and none of it judged. Each wait is bounded in guest time.

use crate::scheduler::{Scheduler, Standing};
use crate::workers::Workers;
use ktstr_init::clock;
use ktstr_init::error::GuestError;
use ktstr_init::reporter::Reporter;
use ktstr_model::scheduler::Awaited;
use ktstr_model::SchedulerPlan;
use rustix::process::Signal;

/// Between two looks while it is waited for.
const POLL_NS: u64 = 10_000_000;
/// Guest time for a further run of its program: long enough for one that loads BPF programs of its own.
const COMMAND_NS_MAX: u64 = 60_000_000_000;
/// Guest time for the last words of a scheduler that is gone: its user part prints what the kernel tells it, and ends.
const SETTLE_NS: u64 = 5_000_000_000;

/// The scheduler under test.
#[derive(Debug, Default)]
pub struct UnderTest {
    scheduler: Option<Scheduler>,
    gone: bool,
}

impl UnderTest {
    /// Whether there is one that is not there any more, or will not come. Once so, always so.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether it was started, in this machine or in the one that was saved.
    pub fn was_started(&self) -> bool {
        self.scheduler.is_some()
    }

    /// Leaves the kernel's trace buffers to the trace of the plan, if it asks for one.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn is_traced(&mut self, traced: bool) -> Result<(), GuestError> {
        match &mut self.scheduler {
            Some(scheduler) if traced => scheduler.leave_trace(),
            _ => Ok(()),
        }
    }

    /// Starts it and waits until the kernel says that it is attached, or it is gone, or its time is over.
    /// `traced`: the plan asks for a trace.
    ///
    /// # Errors
    /// It cannot be started, or its events cannot be sent.
    pub fn attach(
        &mut self,
        plan: &SchedulerPlan,
        traced: bool,
        workers: &mut Workers,
        reporter: &mut Reporter,
    ) -> Result<(), GuestError> {
        let since = clock::now();
        self.scheduler = Some(Scheduler::start(plan, traced, reporter)?);
        self.wait_for_attach(since, workers, reporter)
    }

    /// Starts one that was stopped, with other arguments if there are any, and waits as [`Self::attach`] does.
    ///
    /// # Errors
    /// It cannot be started, or its events cannot be sent.
    pub fn start_again(
        &mut self,
        args: Option<&[String]>,
        workers: &mut Workers,
        reporter: &mut Reporter,
    ) -> Result<(), GuestError> {
        let since = clock::now();
        let Some(scheduler) = &mut self.scheduler else { return Ok(()) };
        scheduler.start_again(args, reporter)?;
        self.wait_for_attach(since, workers, reporter)
    }

    fn wait_for_attach(
        &mut self,
        since: u64,
        workers: &mut Workers,
        reporter: &mut Reporter,
    ) -> Result<(), GuestError> {
        let deadline = since.saturating_add(self.scheduler.as_ref().map_or(0, |scheduler| scheduler.attach_max().0));
        loop {
            match self.stand(workers, reporter)? {
                Standing::Attached | Standing::Gone => return Ok(()),
                Standing::Waiting if clock::now() < deadline => reporter.wait_until(clock::now() + POLL_NS),
                Standing::Waiting => break,
            }
        }
        self.gone = true;
        match &self.scheduler {
            Some(scheduler) => scheduler.overdue(Awaited::Attach, since, reporter),
            None => Ok(()),
        }
    }

    /// Sends what is new of it. `workers` buries all children.
    ///
    /// # Errors
    /// Its events cannot be sent.
    pub fn look(&mut self, workers: &mut Workers, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.stand(workers, reporter).map(drop)
    }

    fn stand(&mut self, workers: &mut Workers, reporter: &mut Reporter) -> Result<Standing, GuestError> {
        let Some(scheduler) = &mut self.scheduler else { return Ok(Standing::Waiting) };
        workers.reap(reporter)?;
        scheduler.look(reporter)?;
        if let Some(status) = workers.take_status(scheduler.pid()) {
            scheduler.ended(status, reporter)?;
        }
        let standing = scheduler.standing(clock::now());
        // One that has been told to end has gone as it should.
        self.gone |= standing == Standing::Gone && !scheduler.is_told();
        Ok(standing)
    }

    /// Waits for the last words of one that is gone.
    ///
    /// # Errors
    /// Its events cannot be sent.
    pub fn settle(&mut self, workers: &mut Workers, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.wait(SETTLE_NS, workers, reporter).map(drop)
    }

    /// Tells it to end and waits until nothing is left of it, in the middle of the plan.
    ///
    /// # Errors
    /// Its events cannot be sent.
    pub fn stop(&mut self, workers: &mut Workers, reporter: &mut Reporter) -> Result<(), GuestError> {
        // One that has gone by itself a moment before has not gone as it was told.
        self.stand(workers, reporter)?;
        if self.gone {
            return Ok(());
        }
        self.detach(workers, reporter)?;
        self.gone |= self.scheduler.as_ref().is_some_and(|scheduler| !scheduler.is_over());
        Ok(())
    }

    /// Runs its program once more and waits for its end.
    ///
    /// # Errors
    /// It cannot be started, does not end, or does not end well.
    pub fn command(
        &mut self,
        args: &[String],
        workers: &mut Workers,
        reporter: &mut Reporter,
    ) -> Result<(), GuestError> {
        let Some(scheduler) = &self.scheduler else { return Ok(()) };
        let mut command = scheduler.command(args)?;
        let deadline = clock::now().saturating_add(COMMAND_NS_MAX);
        loop {
            self.stand(workers, reporter)?;
            command.look();
            if let Some(status) = workers.take_status(command.pid()) {
                return command.ended(status, reporter);
            }
            if self.gone || clock::now() >= deadline {
                command.kill();
                // Without its scheduler it may hang, which is no failure of its own.
                return if self.gone { Ok(()) } else { Err(command.overdue(COMMAND_NS_MAX)) };
            }
            reporter.wait_until(clock::now() + POLL_NS);
        }
    }

    /// Tells it to end, as Ctrl-C does, and waits until nothing is left of it. It may have been stopped before.
    ///
    /// # Errors
    /// Its events cannot be sent.
    pub fn detach(&mut self, workers: &mut Workers, reporter: &mut Reporter) -> Result<(), GuestError> {
        let Some(scheduler) = &mut self.scheduler else { return Ok(()) };
        let (since, time) = (clock::now(), scheduler.detach_max().0);
        scheduler.tell(Signal::INT, reporter)?;
        if self.wait(time / 2, workers, reporter)? {
            return Ok(());
        }
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.tell(Signal::TERM, reporter)?;
        }
        if self.wait(time / 2, workers, reporter)? {
            return Ok(());
        }
        match &self.scheduler {
            Some(scheduler) => scheduler.overdue(Awaited::Detach, since, reporter),
            None => Ok(()),
        }
    }

    /// Waits up to `time` until nothing is left of it; whether it is so.
    fn wait(&mut self, time: u64, workers: &mut Workers, reporter: &mut Reporter) -> Result<bool, GuestError> {
        let deadline = clock::now().saturating_add(time);
        loop {
            self.stand(workers, reporter)?;
            if self.scheduler.as_ref().is_none_or(Scheduler::is_over) {
                // What the kernel has logged on the way.
                self.stand(workers, reporter)?;
                return Ok(true);
            }
            if clock::now() >= deadline {
                return Ok(false);
            }
            reporter.wait_until(clock::now() + POLL_NS);
        }
    }
}
