//! The emulator's process: owned, watched without polling, always reaped.

use super::emulator::Invocation;
use super::qmp::poll_until;
use super::{files, spawn};
use crate::StartError;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much of the emulator's log an error carries.
const LOG_BYTES_MAX: usize = 4096;
/// What the emulator says at every start about features of the CPU model that emulation has not.
const EXPECTED_WARNING: &str = "warning: TCG doesn't support requested feature";

/// Unit of times in `/proc`: fixed in the kernel's interface, whatever its own HZ (include/asm-generic/param.h).
const USER_HZ: u64 = 100;

/// A running or ended emulator.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid_fd: OwnedFd,
    log: PathBuf,
    ended: Option<(ExitStatus, Duration)>,
}

impl Process {
    /// Starts the emulator in `directory` with `inherited` open.
    pub(super) fn start(
        invocation: &Invocation,
        arguments: &[OsString],
        directory: &Path,
        inherited: Vec<RawFd>,
    ) -> Result<Self, StartError> {
        let log = directory.join(files::LOG);
        let unusable = |source| StartError::File { what: "emulator's log", path: log.clone(), source };
        let output = File::create(&log).map_err(unusable)?;
        let also = output.try_clone().map_err(unusable)?;
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.arguments)
            .args(arguments)
            .env_clear()
            .envs(invocation.environment.iter().cloned())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(also);
        let what = "emulator";
        let failed = |source| StartError::File { what, path: invocation.program.clone(), source };
        let mut child = spawn::spawn(command, inherited).map_err(failed)?;
        match open_pid(&child) {
            Ok(pid_fd) => Ok(Self { child, pid_fd, log, ended: None }),
            Err(source) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(StartError::Host { doing: "watch the emulator (pidfd_open, Linux 5.3)", source })
            }
        }
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when the process ends.
    pub(super) fn as_pollable(&self) -> BorrowedFd<'_> {
        self.pid_fd.as_fd()
    }

    /// Its status, if it has ended.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() && has_ended(self.pid_fd.as_fd())? {
            // A process that has ended keeps its CPU time until it is reaped.
            let cpu_time = read_cpu_time(self.child.id()).unwrap_or_default();
            self.ended = Some((self.child.wait()?, cpu_time));
        }
        Ok(self.ended.map(|(status, _)| status))
    }

    /// Its status, if it ends within a second.
    pub(super) fn wait_briefly(&mut self) -> Option<ExitStatus> {
        let mut fds = [PollFd::new(&self.pid_fd, PollFlags::IN)];
        poll_until(&mut fds, Instant::now() + Duration::from_secs(1)).ok()?;
        self.ended().ok()?
    }

    /// Ends it, unless it has ended already.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        let cpu_time = self.cpu_time();
        self.child.kill()?;
        let status = self.child.wait()?;
        self.ended = Some((status, cpu_time));
        Ok(status)
    }

    /// CPU time of all its threads.
    pub(super) fn cpu_time(&self) -> Duration {
        self.ended.map_or_else(|| read_cpu_time(self.child.id()).unwrap_or_default(), |(_, cpu_time)| cpu_time)
    }

    /// The end of what it said, without what it always says.
    pub(super) fn log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        tail_of_log(&String::from_utf8_lossy(&text))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the death signal is still set.
        let _ = self.kill();
    }
}

fn open_pid(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

fn has_ended(pid_fd: BorrowedFd<'_>) -> io::Result<bool> {
    poll_until(&mut [PollFd::new(&pid_fd, PollFlags::IN)], Instant::now())
}

fn read_cpu_time(pid: u32) -> Option<Duration> {
    parse_cpu_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, USER_HZ)
}

/// User and system time of `/proc/<pid>/stat`, fields 14 and 15, which count all threads (proc_pid_stat(5)).
fn parse_cpu_time(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    // The name in field 2 may hold anything; what follows its last parenthesis starts with field 3.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / ticks_per_second as f64))
}

fn tail_of_log(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(EXPECTED_WARNING)).collect();
    let text = lines.join("\n");
    let start = text.len().saturating_sub(LOG_BYTES_MAX);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(start..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_counts_user_and_system() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 5 0";
        assert_eq!(parse_cpu_time(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(parse_cpu_time("7 (a", 100), None);
        assert_eq!(parse_cpu_time("7 (a) S 1", 100), None);
    }

    #[test]
    fn the_log_leaves_out_what_is_always_said() {
        let log = "qemu: warning: TCG doesn't support requested feature: X\nqemu: cannot map\n";
        assert_eq!(tail_of_log(log), "qemu: cannot map");
        assert!(tail_of_log(&"ä".repeat(5000)).len() <= LOG_BYTES_MAX);
    }
}
