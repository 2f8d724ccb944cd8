//! Our ends of what the shell reads and writes: a pty, or two pipes.

use ktstr_channel::{Stream, Window};
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::Winsize;

/// What a pipe holds at least: what is in it when the command has ended is all that the command has said.
const PIPE_BYTES: usize = 1 << 20;
/// What is read at once.
const READ_BYTES: usize = 16 << 10;

/// Our ends.
#[derive(Debug)]
pub(super) struct Ends {
    outputs: Vec<Output>,
    /// The pty, for what is typed, if there is one.
    terminal: Option<Terminal>,
}

#[derive(Debug)]
struct Output {
    stream: Stream,
    from: OwnedFd,
    open: bool,
}

#[derive(Debug)]
struct Terminal {
    to: OwnedFd,
    /// Typed, and not yet taken by the kernel.
    typed: Vec<u8>,
    size: (u16, u16),
}

impl Ends {
    /// Of a pty, by its master, which has a size.
    ///
    /// # Errors
    /// That of the kernel.
    pub(super) fn of_terminal(master: OwnedFd, size: (u16, u16)) -> Result<Self, GuestError> {
        let to = master.try_clone().doing(|| "set up the terminal".into())?;
        let terminal = Terminal { to, typed: Vec::new(), size };
        Ok(Self { outputs: vec![output(Stream::Output, master)?], terminal: Some(terminal) })
    }

    /// Of two pipes.
    ///
    /// # Errors
    /// That of the kernel.
    pub(super) fn of_pipes(stdout: OwnedFd, stderr: OwnedFd) -> Result<Self, GuestError> {
        for pipe in [&stdout, &stderr] {
            // A smaller pipe would do, too.
            let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
        }
        Ok(Self { outputs: vec![output(Stream::Output, stdout)?, output(Stream::Errors, stderr)?], terminal: None })
    }

    /// Carries what has come, in both directions.
    ///
    /// # Errors
    /// The terminal cannot be mapped.
    pub(super) fn carry(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        let window = reporter.terminal()?;
        if let Some(terminal) = &mut self.terminal {
            terminal.carry(window);
        }
        for output in &mut self.outputs {
            output.carry(window, READ_BYTES);
        }
        Ok(())
    }

    /// Carries what the shell has said before it ended. What others say who hold its ends is cut off.
    ///
    /// # Errors
    /// The terminal cannot be mapped.
    pub(super) fn finish(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        for output in &mut self.outputs {
            let mut rest = PIPE_BYTES;
            while output.open && rest > 0 {
                let window = reporter.terminal()?;
                match (window.room(output.stream), output.carry(window, rest.min(READ_BYTES))) {
                    // The host has to take something first.
                    (0, _) => {}
                    (_, 0) => break,
                    (_, bytes) => rest -= bytes,
                }
                if reporter.terminal()?.room(output.stream) == 0 {
                    reporter.wait_until(ktstr_init::clock::now() + super::POLL_NS);
                }
                reporter.beat();
            }
        }
        Ok(())
    }

    /// Waits until the shell says something, at most for `nanos`.
    ///
    /// # Errors
    /// The terminal cannot be mapped.
    pub(super) fn wait(&self, nanos: u64, reporter: &mut Reporter) -> Result<(), GuestError> {
        let window = reporter.terminal()?;
        let readable = |output: &&Output| output.open && window.room(output.stream) > 0;
        let mut fds: Vec<PollFd<'_>> =
            self.outputs.iter().filter(readable).map(|output| PollFd::new(&output.from, PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::try_from(nanos).unwrap_or(i64::MAX) };
        // A signal, such as that of a child that has ended, is a reason to look, too.
        let _ = poll(&mut fds, Some(&timeout));
        Ok(())
    }
}

fn output(stream: Stream, from: OwnedFd) -> Result<Output, GuestError> {
    rustix::fs::fcntl_setfl(&from, OFlags::NONBLOCK).doing(|| "set up what the shell writes to".into())?;
    Ok(Output { stream, from, open: true })
}

impl Output {
    /// Carries at most so many bytes, and says how many it were.
    fn carry(&mut self, window: &Window, bytes_max: usize) -> usize {
        let mut buffer = vec![0; bytes_max.min(window.room(self.stream))];
        if !self.open || buffer.is_empty() {
            return 0;
        }
        match rustix::io::read(&self.from, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // Its writers are gone (EIO of a pty).
            Ok(0) | Err(_) => {
                self.open = false;
                0
            }
            Ok(bytes) => window.put(self.stream, buffer.get(..bytes).unwrap_or_default()),
        }
    }
}

impl Terminal {
    fn carry(&mut self, window: &Window) {
        let size = window.terminal_size();
        if size != self.size {
            // The kernel tells the shell (SIGWINCH). A pty that is gone has no size.
            let _ = rustix::termios::tcsetwinsize(&self.to, winsize(size));
            self.size = size;
        }
        if self.typed.is_empty() {
            self.typed = window.take(Stream::Input);
        }
        while !self.typed.is_empty() {
            match rustix::io::write(&self.to, &self.typed) {
                Ok(bytes) => drop(self.typed.drain(..bytes)),
                // Nobody reads; what is typed after this stays on the host.
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => self.typed.clear(),
            }
        }
    }
}

/// A size as the kernel takes it.
pub(super) fn winsize((rows, columns): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> (tempfile::TempDir, Window, Reporter) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("window");
        let host = Window::create(&path).expect("a window");
        let reporter = Reporter::over(&path, 0).expect("reaches it");
        (directory, host, reporter)
    }

    #[test]
    fn the_last_words_of_a_command_are_carried_and_no_more() {
        let (_directory, host, mut reporter) = window();
        let (out, to_out) = rustix::pipe::pipe().expect("a pipe");
        let (errors, to_errors) = rustix::pipe::pipe().expect("a pipe");
        let mut ends = Ends::of_pipes(out, errors).expect("sets up");
        rustix::io::write(&to_out, b"out").expect("writes");
        rustix::io::write(&to_errors, b"errors").expect("writes");
        drop(to_errors);
        // The other pipe is held open, as by a child in the background.
        ends.finish(&mut reporter).expect("finishes");
        assert_eq!((host.take(Stream::Output), host.take(Stream::Errors)), (b"out".to_vec(), b"errors".to_vec()));
    }

    #[test]
    fn what_the_host_has_no_room_for_stays_in_the_pipe() {
        let (_directory, host, mut reporter) = window();
        let (out, to_out) = rustix::pipe::pipe().expect("a pipe");
        let (errors, _to_errors) = rustix::pipe::pipe().expect("a pipe");
        let mut ends = Ends::of_pipes(out, errors).expect("sets up");
        let room = host.room(Stream::Output);
        assert_eq!(host.put(Stream::Output, &vec![0; room - 2]), room - 2);
        rustix::io::write(&to_out, b"four").expect("writes");
        ends.carry(&mut reporter).expect("carries");
        ends.carry(&mut reporter).expect("carries");
        assert_eq!(host.take(Stream::Output).get(room - 2..), Some(&b"fo"[..]));
        ends.carry(&mut reporter).expect("carries");
        assert_eq!(host.take(Stream::Output), b"ur");
    }
}
