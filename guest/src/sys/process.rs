//! Processes: fork, and their scheduling policy set from outside.

#![allow(unsafe_code)]

use ktstr_model::work::Policy;
use rustix::mm::MlockAllFlags;
use rustix::process::Pid;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Exit status of a child that panicked.
pub const CHILD_PANICKED: i32 = 101;

/// Starts a child that runs `body` and ends with the status that it gives. The guest's programs have one thread all their
/// life: nothing in this crate makes another.
///
/// # Errors
/// That of fork(2).
pub fn spawn(body: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: there is one thread (see above), so that no lock is held by a thread that is missing in the child, and the
    // child may run any code.
    let pid = unsafe { libc::fork() };
    match Pid::from_raw(pid) {
        Some(pid) if pid.as_raw_nonzero().get() > 0 => Ok(pid),
        Some(_) => Err(io::Error::last_os_error()),
        None => {
            let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(CHILD_PANICKED);
            // SAFETY: ends the child at once, without handlers and destructors that are the parent's business.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Starts a child that hangs: it waits without end in the kernel (state D) for a child of its own (`CLONE_VFORK`, clone(2)).
///
/// # Errors
/// That of fork(2).
pub fn spawn_hung() -> io::Result<Pid> {
    spawn(|| {
        let flags = (libc::CLONE_VFORK | libc::SIGCHLD) as libc::c_long;
        // SAFETY: without CLONE_VM the new process has a copy of the memory, as after fork(2); the call takes no pointer.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        if pid == 0 {
            loop {
                // SAFETY: takes nothing and touches nothing.
                unsafe { libc::pause() };
            }
        }
        0
    })
}

/// Sets the policy of a process. Priorities of policies without one are ignored.
///
/// # Errors
/// That of sched_setscheduler(2).
pub fn set_policy(pid: Pid, policy: Policy) -> io::Result<()> {
    let (number, priority) = match policy {
        Policy::Other => (libc::SCHED_OTHER, 0),
        Policy::Batch => (libc::SCHED_BATCH, 0),
        Policy::Idle => (libc::SCHED_IDLE, 0),
        Policy::Fifo(priority) => (libc::SCHED_FIFO, priority),
        Policy::Rr(priority) => (libc::SCHED_RR, priority),
    };
    set_scheduler(pid.as_raw_nonzero().get(), number, priority)
}

/// Gives the calling process all pages of what it has mapped so far. A page fault on a page that it shares with its workers,
/// such as a page of the program, may wait for a lock (`folio_lock`) that a worker holds which is being starved.
///
/// # Errors
/// That of mlockall(2).
pub fn keep_in_memory() -> io::Result<()> {
    Ok(rustix::mm::mlockall(MlockAllFlags::CURRENT)?)
}

/// Gives the calling process SCHED_FIFO at `priority`; its children start with SCHED_OTHER.
///
/// # Errors
/// That of sched_setscheduler(2).
pub fn become_fifo(priority: u8) -> io::Result<()> {
    set_scheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, priority)
}

fn set_scheduler(pid: i32, policy: i32, priority: u8) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: the call reads `parameter`, which is valid; it keeps no pointer.
    match unsafe { libc::sched_setscheduler(pid, policy, &parameter) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{kill_process, waitpid, Signal, WaitOptions};

    #[test]
    fn a_child_that_hangs_is_in_state_d() {
        let pid = spawn_hung().expect("forks");
        let path = format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero());
        let state = || crate::procfs::stat(pid).expect("is there").state;
        while state() != 'D' {
            std::thread::yield_now();
        }
        let inner = std::fs::read_to_string(&path).expect("reads");
        let inner = Pid::from_raw(inner.trim().parse().expect("one child")).expect("not zero");
        kill_process(inner, Signal::KILL).expect("is there");
        waitpid(Some(pid), WaitOptions::empty()).expect("is a child");
    }
}
