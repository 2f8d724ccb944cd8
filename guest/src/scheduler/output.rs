//! What the scheduler prints, line by line. The agent never waits for a pipe, and the scheduler hardly ever: the pipes are large,
//! and are read at every look.

use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use ktstr_model::scheduler::{OutputLine, Stream};
use ktstr_model::What;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// What a pipe holds: the largest that every kernel gives.
const PIPE_BYTES: usize = 1 << 20;
/// What is read at once.
const READ_BYTES: usize = 64 << 10;
/// Most that is read from a pipe at a look, so that one who prints without end does not keep the agent.
const LOOK_BYTES_MAX: usize = 4 << 20;
/// A longer line is told in parts.
const LINE_BYTES_MAX: usize = 4096;
/// Most bytes of a case: the ring is emptied all the time, but a recording has to stay readable.
const CASE_BYTES_MAX: usize = 8 << 20;

/// Both streams of a process.
#[derive(Debug)]
pub(super) struct Output {
    pipes: Vec<Pipe>,
    room: usize,
}

#[derive(Debug)]
struct Pipe {
    stream: Stream,
    from: OwnedFd,
    /// The beginning of a line.
    rest: Vec<u8>,
    open: bool,
}

impl Output {
    /// Takes the reading ends of its pipes.
    ///
    /// # Errors
    /// That of fcntl(2).
    pub(super) fn new(stdout: OwnedFd, stderr: OwnedFd) -> Result<Self, GuestError> {
        let mut pipes = Vec::new();
        for (stream, from) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            // A smaller pipe would do, too.
            let _ = rustix::pipe::fcntl_setpipe_size(&from, PIPE_BYTES);
            rustix::fs::fcntl_setfl(&from, OFlags::NONBLOCK).doing(|| "set up the scheduler's pipes".into())?;
            pipes.push(Pipe { stream, from, rest: Vec::new(), open: true });
        }
        Ok(Self { pipes, room: CASE_BYTES_MAX })
    }

    /// Sends the lines that have come since.
    ///
    /// # Errors
    /// That of the ring.
    pub(super) fn look(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        for pipe in &mut self.pipes {
            pipe.look(&mut self.room, reporter)?;
        }
        Ok(())
    }

    /// Sends what has no end of line and will not get one.
    ///
    /// # Errors
    /// That of the ring.
    pub(super) fn finish(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.look(reporter)?;
        for pipe in &mut self.pipes {
            let rest = std::mem::take(&mut pipe.rest);
            if !rest.is_empty() {
                pipe.send(&rest, &mut self.room, reporter)?;
            }
        }
        Ok(())
    }
}

impl Pipe {
    fn look(&mut self, room: &mut usize, reporter: &mut Reporter) -> Result<(), GuestError> {
        let mut buffer = vec![0; READ_BYTES];
        let mut read = 0;
        while self.open && read < LOOK_BYTES_MAX {
            match rustix::io::read(&self.from, &mut buffer) {
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                // Its writers are gone; a pipe that cannot be read says no more either.
                Ok(0) | Err(_) => self.open = false,
                Ok(bytes) => {
                    read += bytes;
                    self.take(buffer.get(..bytes).unwrap_or_default(), room, reporter)?;
                    reporter.beat();
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], room: &mut usize, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.rest.extend(bytes);
        loop {
            let end = self.rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n');
            let (length, skip) = match end {
                Some(end) => (end, 1),
                None if self.rest.len() >= LINE_BYTES_MAX => (LINE_BYTES_MAX, 0),
                None => return Ok(()),
            };
            let line: Vec<u8> = self.rest.drain(..length + skip).take(length).collect();
            self.send(&line, room, reporter)?;
        }
    }

    fn send(&self, line: &[u8], room: &mut usize, reporter: &mut Reporter) -> Result<(), GuestError> {
        if *room == 0 {
            return Ok(());
        }
        *room = room.saturating_sub(line.len() + 1);
        let text = match *room {
            0 => "[the output is recorded up to here]".into(),
            _ => String::from_utf8_lossy(line).trim_end_matches('\r').to_owned(),
        };
        reporter.send(What::SchedulerOutput(OutputLine { stream: self.stream, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_channel::{RingReader, Window};

    /// The lines that come of what is written, part by part.
    fn lines(parts: &[&[u8]]) -> Vec<(Stream, String)> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("window");
        let host = Window::create(&path).expect("a window");
        let mut reporter = Reporter::over(&path, 0).expect("reaches it");
        let (stdout, to_stdout) = rustix::pipe::pipe().expect("a pipe");
        let (stderr, to_stderr) = rustix::pipe::pipe().expect("a pipe");
        let mut output = Output::new(stdout, stderr).expect("sets up");
        output.look(&mut reporter).expect("does not wait");
        for part in parts {
            rustix::io::write(&to_stderr, part).expect("writes");
            output.look(&mut reporter).expect("sends");
        }
        drop((to_stdout, to_stderr));
        output.finish(&mut reporter).expect("sends");
        let events = RingReader::default().poll(&host).events;
        let line = |what| match what {
            What::SchedulerOutput(line) => (line.stream, line.text),
            other => panic!("{other:?}"),
        };
        events.into_iter().map(|event| line(event.what)).collect()
    }

    #[test]
    fn lines_come_whole_and_the_last_one_at_the_end() {
        let seen = lines(&[b"one\ntw", b"o\r\n\nthr", b"ee"]);
        let expected = ["one", "two", "", "three"].map(|text| (Stream::Stderr, text.to_owned()));
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_long_line_comes_in_parts_and_other_bytes_are_replaced() {
        let long = [vec![b'x'; LINE_BYTES_MAX + 3], b"\n\xff\n".to_vec()].concat();
        let lengths: Vec<usize> = lines(&[&long]).iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, 3, 3]);
    }
}
