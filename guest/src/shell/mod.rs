//! A shell in the guest, for a person or for one command.
//!
//! ```text
//! host ──Stream::Input──▶ agent ──▶ pty ──▶ shell ──▶ pty ──▶ agent ──Stream::Output──▶ host
//!                                   sh -c command ──▶ pipes ──▶ agent ──Stream::Output, Stream::Errors──▶ host
//! ```
//!
//! The agent carries the bytes, so that the shell is a task like any other, under the scheduler under test, while what is typed comes in
//! and the heartbeat goes on whatever that scheduler does. Nothing is read from the shell that the host has no room for.

mod ends;
mod process;

use crate::agent;
use crate::files;
use crate::scheduler;
use crate::under_test::UnderTest;
use crate::workers::Workers;
use ktstr_channel::payload::{FILES, TOOLS};
use ktstr_init::clock;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::mounts;
use ktstr_init::reporter::Reporter;
use ktstr_init::stage_one::payload_path;
use ktstr_model::{Plan, ShellPlan, What};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Between two looks at what was typed. What the shell prints is seen at once.
const POLL_NS: u64 = 5_000_000;
/// Between two looks at the scheduler under test.
const LOOK_NS: u64 = 100_000_000;

/// Attaches the scheduler, runs the shell to its end and says how it ended.
///
/// # Errors
/// The first thing that could not be done.
pub fn run(plan: &ShellPlan, reporter: &mut Reporter) -> Result<(), GuestError> {
    agent::come_first()?;
    mounts::mount_for_shell()?;
    files::unpack(&payload_path(FILES), Path::new("/"), reporter)?;
    lay_tools()?;
    let mut workers = Workers::new(&Plan::default())?;
    let mut under_test = UnderTest::default();
    match &plan.scheduler {
        Some(scheduler) if plan.attach => {
            under_test.attach(scheduler, false, &mut workers, reporter)?;
            if under_test.is_gone() {
                under_test.settle(&mut workers, reporter)?;
                // A person can look why. For a command it would be another machine than the one that it is meant for.
                if plan.command.is_some() {
                    return reporter.send(What::BrokenOff);
                }
            }
        }
        Some(_) => scheduler::lay(reporter)?,
        None => {}
    }
    let status = attend(plan, &mut under_test, &mut workers, reporter)?;
    reporter.send(What::ShellExited { status })?;
    if !under_test.is_gone() {
        under_test.detach(&mut workers, reporter)?;
    }
    reporter.send(What::Finished)
}

/// Makes the names of the tools, and what they look for.
fn lay_tools() -> Result<(), GuestError> {
    let doing = || format!("install the tools of {TOOLS}");
    // They look for names in it, and for nothing else.
    fs::create_dir_all("/etc").and_then(|()| fs::create_dir_all("/root")).doing(doing)?;
    for (path, text) in [("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("/etc/group", "root:x:0:\n")] {
        if !Path::new(path).exists() {
            fs::write(path, text).doing(|| format!("write {path}"))?;
        }
    }
    let status = Command::new(TOOLS).args(["--install", "-s", "/bin"]).env_clear().status().doing(doing)?;
    match status {
        status if status.success() => Ok(()),
        status => Err(GuestError::new(doing(), format!("it ended ({status}); is it a busybox?"))),
    }
}

/// Runs the shell, and carries what goes in and out until it has ended; gives its wait status.
fn attend(
    plan: &ShellPlan,
    under_test: &mut UnderTest,
    workers: &mut Workers,
    reporter: &mut Reporter,
) -> Result<i32, GuestError> {
    reporter.send(What::Ready)?;
    let size = reporter.terminal()?.terminal_size();
    let process::Started { shell, mut ends } = process::start(plan, size)?;
    let mut next_look = 0;
    loop {
        ends.carry(reporter)?;
        workers.reap(reporter)?;
        if let Some(status) = workers.take_status(shell) {
            ends.finish(reporter)?;
            return Ok(status);
        }
        if clock::now() >= next_look {
            under_test.look(workers, reporter)?;
            // Whoever loses its parent comes here, too.
            workers.forget_others_but(shell);
            next_look = clock::now() + LOOK_NS;
        }
        reporter.beat();
        ends.wait(POLL_NS, reporter)?;
    }
}
