//! Starts a child that dies with this process.
//!
//! `PR_SET_PDEATHSIG` fires when the *thread* that forked ends, not the process. So all children are forked by one thread that lives
//! as long as the process, and [`spawn`] may be called from any thread.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Mutex, OnceLock};

struct Job {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

static SPAWNER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();

/// Starts `command`, which keeps `inherited` open. It is killed when this process ends, however it ends.
///
/// # Errors
/// The program cannot be started, or this process has no thread to start it with.
pub(super) fn spawn(mut command: Command, inherited: Vec<RawFd>) -> io::Result<Child> {
    let owner = rustix::process::getpid();
    let prepare = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The owner may have ended before the line above; then nobody sends the signal.
        if rustix::process::getppid() != Some(owner) {
            return Err(io::ErrorKind::NotFound.into());
        }
        for fd in &inherited {
            // SAFETY: the caller of `spawn` holds these descriptors open until the child has started, and fork copied them.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: `prepare` runs between fork and exec, where only async-signal-safe calls are allowed: it makes three plain system calls
    // and allocates nothing (an `io::ErrorKind` becomes an error without allocation).
    unsafe { command.pre_exec(prepare) };
    let (reply, answer) = channel();
    let gone = |_| io::Error::other("the thread that starts processes has ended");
    let spawner = SPAWNER.get_or_init(|| Mutex::new(start_spawner()));
    let sender = spawner.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    sender.send(Job { command, reply }).map_err(|_| gone(std::sync::mpsc::RecvError))?;
    answer.recv().map_err(gone)?
}

fn start_spawner() -> Sender<Job> {
    let (sender, jobs) = channel::<Job>();
    let work = move || {
        for mut job in jobs {
            // A caller that does not wait for the answer has its child killed: nothing else would own it.
            if let Err(unheard) = job.reply.send(job.command.spawn()) {
                if let Ok(mut child) = unheard.0 {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        }
    };
    // If there is no thread, the receiver is dropped, and every `spawn` says so.
    let _ = std::thread::Builder::new().name("spawner".into()).spawn(work);
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let ask = || {
            let mut command = Command::new("/bin/sleep");
            command.arg("30");
            spawn(command, vec![])
        };
        let mut child = std::thread::spawn(ask).join().expect("no panic").expect("starts");
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(child.try_wait().expect("is ours").is_none(), "the child died with the thread");
        child.kill().expect("dies");
        child.wait().expect("is reaped");
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let error = spawn(Command::new("/nowhere/program"), vec![]).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
