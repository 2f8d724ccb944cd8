//! The process of the shell.

use super::ends::{winsize, Ends};
use crate::sys::process::spawn;
use ktstr_channel::payload::{SCHEDULER_LIBRARIES, SCHEDULER_PROGRAMS};
use ktstr_init::console;
use ktstr_init::error::{Doing, GuestError};
use ktstr_model::ShellPlan;
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use rustix::pty::{grantpt, ioctl_tiocgptpeer, openpt, unlockpt, OpenptFlags};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const SHELL: &str = "/bin/sh";
/// Exit status of a shell that cannot be started, as shells have it.
const NOT_STARTED: i32 = 126;

/// A shell that was started.
pub(super) struct Started {
    pub(super) shell: Pid,
    pub(super) ends: Ends,
}

/// Starts the shell on a terminal of `size`, or its command with pipes.
///
/// # Errors
/// That of the kernel.
pub(super) fn start(plan: &ShellPlan, size: (u16, u16)) -> Result<Started, GuestError> {
    match &plan.command {
        None => on_terminal(plan, size),
        Some(command) => with_pipes(plan, command),
    }
}

fn on_terminal(plan: &ShellPlan, size: (u16, u16)) -> Result<Started, GuestError> {
    let (master, slave) = open_pty(size).doing(|| "open a terminal".into())?;
    let shell = spawn(|| {
        let started = as_its_terminal(&slave).map(|()| of_plan(plan));
        started
            .map_or_else(|error| not_started(&error), |mut command| exec(command.arg("-i"), [&slave, &slave, &slave]))
    });
    let shell = shell.doing(|| format!("start {SHELL}"))?;
    // With ours open as well, the end of the shell would not be seen.
    drop(slave);
    Ok(Started { shell, ends: Ends::of_terminal(master, size)? })
}

fn with_pipes(plan: &ShellPlan, text: &str) -> Result<Started, GuestError> {
    let doing = || format!("start {SHELL} -c");
    let null: OwnedFd = fs::File::open("/dev/null").doing(|| "open /dev/null".into())?.into();
    let (stdout, to_stdout) = io::pipe().doing(doing)?;
    let (stderr, to_stderr) = io::pipe().doing(doing)?;
    let (to_stdout, to_stderr) = (OwnedFd::from(to_stdout), OwnedFd::from(to_stderr));
    let shell = spawn(|| exec(of_plan(plan).arg("-c").arg(text), [&null, &to_stdout, &to_stderr])).doing(doing)?;
    Ok(Started { shell, ends: Ends::of_pipes(stdout.into(), stderr.into())? })
}

fn open_pty(size: (u16, u16)) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    rustix::termios::tcsetwinsize(&master, winsize(size))?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}

/// Makes the terminal that of the calling process, which is just forked, so that Ctrl-C and job control work.
fn as_its_terminal(slave: &OwnedFd) -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(slave)?)
}

/// The shell with its environment.
fn of_plan(plan: &ShellPlan) -> Command {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut shell = Command::new(SHELL);
    shell
        .env_clear()
        .env("PATH", format!("/bin:{SCHEDULER_PROGRAMS}"))
        .env("HOME", "/root")
        .env("TERM", &plan.terminal)
        .env("PS1", format!("[{} {}] \\w # ", release.trim(), plan.prompt))
        .current_dir("/");
    if plan.scheduler.is_some() {
        shell.env("LD_LIBRARY_PATH", SCHEDULER_LIBRARIES);
    }
    shell
}

/// Becomes `shell`, with these as its standard input, output and error.
fn exec(shell: &mut Command, ends: [&OwnedFd; 3]) -> i32 {
    let [stdin, stdout, stderr] = ends.map(|end| end.try_clone().map(Stdio::from));
    match (stdin, stdout, stderr) {
        (Ok(stdin), Ok(stdout), Ok(stderr)) => not_started(&shell.stdin(stdin).stdout(stdout).stderr(stderr).exec()),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => not_started(&error),
    }
}

fn not_started(error: &io::Error) -> i32 {
    console::say(&format!("failed to start {SHELL}: {error}"));
    NOT_STARTED
}
