//! The process of a scheduler.

use crate::procfs;
use ktstr_channel::payload::{SCHEDULER_LIBRARIES, SCHEDULER_PROGRAMS};
use ktstr_init::controllers;
use ktstr_init::error::{Doing, GuestError};
use ktstr_model::SchedulerPlan;
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Its cgroup. Users' names have no dot.
const CGROUP: &str = "ktstr.scheduler";
/// Its share against all cgroups of the test together: until it is attached, and once it is detached, the kernel's own scheduler
/// decides who runs, and the test's workers must not keep it from its work.
const WEIGHT: &str = "10000";
/// Frames of a stack that are told.
const FRAMES_MAX: usize = 16;

/// A process that was started.
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Starts the program of a scheduler in a cgroup of its own.
///
/// # Errors
/// That of the kernel, which may not be able to execute it.
pub(super) fn start(plan: &SchedulerPlan) -> Result<Started, GuestError> {
    let program = Path::new(SCHEDULER_PROGRAMS).join(&plan.name);
    let doing = || format!("start the scheduler {}", program.display());
    let cgroup = Path::new(controllers::MOUNT).join(CGROUP);
    fs::create_dir_all(&cgroup).doing(|| format!("create cgroup {}", cgroup.display()))?;
    let weight = cgroup.join("cpu.weight");
    fs::write(&weight, WEIGHT).doing(|| format!("write {}", weight.display()))?;
    let mut child = Command::new(&program)
        .args(&plan.args)
        .env_clear()
        .env("PATH", SCHEDULER_PROGRAMS)
        .env("LD_LIBRARY_PATH", SCHEDULER_LIBRARIES)
        .env("HOME", "/")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .doing(doing)?;
    let missing = || GuestError::new(doing(), "it has no process or no pipes");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(missing)?;
    let (stdout, stderr) = child.stdout.take().zip(child.stderr.take()).ok_or_else(missing)?;
    let procs = cgroup.join("cgroup.procs");
    fs::write(&procs, child.id().to_string()).doing(|| format!("write {}", procs.display()))?;
    // The agent buries it with all its other children.
    Ok(Started { pid, stdout: stdout.into(), stderr: stderr.into() })
}

/// State of a process, and where it is in the kernel.
pub(super) fn whereabouts(pid: Pid) -> (char, Vec<String>) {
    let state = procfs::stat(pid).map_or('-', |stat| stat.state);
    let stack = fs::read_to_string(format!("/proc/{}/stack", pid.as_raw_nonzero())).unwrap_or_default();
    (state, frames(&stack))
}

/// The frames of `/proc/<pid>/stack`: `[<0>] function+0x1/0x2`.
fn frames(stack: &str) -> Vec<String> {
    let frame = |line: &str| line.split_once("] ").map(|(_, frame)| frame.trim().to_owned());
    stack.lines().filter_map(frame).take(FRAMES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_its_frames() {
        let stack = "[<0>] percpu_down_write+0x12/0x200\n[<0>] scx_enable+0x5/0x10\n";
        assert_eq!(frames(stack), ["percpu_down_write+0x12/0x200", "scx_enable+0x5/0x10"]);
    }

    #[test]
    fn a_process_that_is_gone_is_nowhere() {
        let missing = Pid::from_raw(0x3fff_ffff).expect("not zero");
        assert_eq!(whereabouts(missing), ('-', vec![]));
    }
}
