//! A further run of the scheduler's program beside it, such as one that changes the scheduler's maps. It has to end by itself, and well.

use super::process;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use ktstr_model::{Nanos, SchedulerPlan, What};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// What is read at once.
const READ_BYTES: usize = 16 << 10;
/// What is kept of what it prints: the end.
const KEPT_BYTES: usize = 4096;

/// A run that was started.
#[derive(Debug)]
pub struct Command {
    name: String,
    args: Vec<String>,
    pid: Pid,
    pipes: [OwnedFd; 2],
    printed: Vec<u8>,
}

impl Command {
    /// Starts the program of `plan` with these arguments.
    ///
    /// # Errors
    /// That of the kernel.
    pub(super) fn start(plan: &SchedulerPlan, args: &[String]) -> Result<Self, GuestError> {
        let (name, args) = (plan.name.clone(), args.to_vec());
        let process::Started { pid, stdout, stderr } =
            process::start(&SchedulerPlan { args: args.clone(), ..plan.clone() })?;
        let pipes = [stdout, stderr];
        for pipe in &pipes {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK).doing(|| "set up the pipes of a command".into())?;
        }
        Ok(Self { name, args, pid, pipes, printed: Vec::new() })
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Takes what it has printed, so that it never waits for its pipes.
    pub fn look(&mut self) {
        let mut buffer = [0; READ_BYTES];
        for pipe in &self.pipes {
            while let Ok(bytes @ 1..) = rustix::io::read(pipe, &mut buffer) {
                self.printed.extend(buffer.get(..bytes).unwrap_or_default());
                let old = self.printed.len().saturating_sub(KEPT_BYTES);
                self.printed.drain(..old);
            }
        }
    }

    /// Takes notice of its end.
    ///
    /// # Errors
    /// It was not a good one; or that of the ring.
    pub fn ended(mut self, status: i32, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.look();
        if status == 0 {
            let output = self.lines();
            return reporter.send(What::SchedulerCommand { args: self.args, output });
        }
        Err(self.error(format!("it ended ({})", ExitStatus::from_raw(status))))
    }

    /// Ends it; it is buried with all other children.
    pub fn kill(&self) {
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
    }

    /// That it has not ended after so many nanoseconds.
    pub fn overdue(mut self, nanos: u64) -> GuestError {
        self.look();
        self.error(format!("after {} it has not ended", Nanos(nanos)))
    }

    fn error(&self, problem: String) -> GuestError {
        let words: Vec<&str> =
            std::iter::once(self.name.as_str()).chain(self.args.iter().map(String::as_str)).collect();
        let printed = self.lines();
        let printed =
            if printed.is_empty() { String::new() } else { format!(", and printed: {}", printed.join(" / ")) };
        GuestError::new(format!("run {}", words.join(" ")), problem + &printed)
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.printed);
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_channel::{RingReader, Window};

    fn command(printed: &[u8]) -> Command {
        let (stdout, to_stdout) = rustix::pipe::pipe().expect("a pipe");
        let (stderr, _) = rustix::pipe::pipe().expect("a pipe");
        rustix::io::write(&to_stdout, printed).expect("writes");
        let pid = Pid::from_raw(1).expect("not zero");
        Command { name: "scx_x".into(), args: vec!["--on".into()], pid, pipes: [stdout, stderr], printed: vec![] }
    }

    #[test]
    fn a_good_end_is_an_event_and_a_bad_one_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("window");
        let host = Window::create(&path).expect("a window");
        let mut reporter = Reporter::over(&path, 0).expect("reaches it");
        command(b"one\n\ntwo\n").ended(0, &mut reporter).expect("is sent");
        let whats: Vec<What> = RingReader::default().poll(&host).events.into_iter().map(|event| event.what).collect();
        let output = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(whats, [What::SchedulerCommand { args: vec!["--on".into()], output }]);
        let error = command(b"no such knob\n").ended(1 << 8, &mut reporter).expect_err("it failed").to_string();
        assert_eq!(error, "failed to run scx_x --on: it ended (exit status: 1), and printed: no such knob");
        let error = command(b"").overdue(60_000_000_000).to_string();
        assert_eq!(error, "failed to run scx_x --on: after 60s it has not ended");
    }
}
