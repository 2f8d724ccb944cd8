//! The emulator's control protocol (QMP): commands with their answers, and events in between.
//!
//! Messages are JSON objects, one a line. The socket is one end of a pair; the emulator inherited the other.

use crate::MachineError;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::{json, Value};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Longest message that is taken: the registers of 1000 CPUs are a megabyte.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Why the emulator's main loop means to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shutdown {
    /// The guest asked for it: ACPI or the debug exit.
    Guest,
    /// The guest reset itself, or a CPU did.
    Reset,
    /// Something else: a signal, a command.
    Other,
}

/// The client's end.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: UnixStream,
    buffer: Vec<u8>,
    closed: bool,
    shutdown: Option<Shutdown>,
    guest_stopped: bool,
    /// Commands whose answers are still to come and are not looked at; answers come in the order of commands.
    unheard: u32,
}

impl Qmp {
    /// Greets the emulator; gives the client and the emulator's version.
    pub(super) fn connect(stream: UnixStream, timeout: Duration) -> Result<(Self, String), MachineError> {
        stream
            .set_nonblocking(true)
            .map_err(|source| MachineError::Host { doing: "use the control socket", source })?;
        let mut client =
            Self { stream, buffer: Vec::new(), closed: false, shutdown: None, guest_stopped: false, unheard: 0 };
        let greeting = client.next_message("greeting", Instant::now() + timeout, timeout)?;
        let version = version(&greeting)
            .ok_or_else(|| MachineError::Answer { command: "greeting".into(), problem: greeting.to_string() })?;
        client.execute("qmp_capabilities", json!({}), timeout)?;
        Ok((client, version))
    }

    /// Becomes readable when there is an event; `None` once the emulator has closed it.
    pub(super) fn as_pollable(&self) -> Option<BorrowedFd<'_>> {
        (!self.closed).then(|| self.stream.as_fd())
    }

    /// Sends a command and waits for its answer.
    pub(super) fn execute(
        &mut self,
        command: &str,
        arguments: Value,
        timeout: Duration,
    ) -> Result<Value, MachineError> {
        let deadline = Instant::now() + timeout;
        let message = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        self.send(message.as_bytes(), command, deadline, timeout)?;
        loop {
            let mut answer = self.next_message(command, deadline, timeout)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let problem =
                    error.get("desc").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
                return Err(MachineError::Answer { command: command.into(), problem });
            }
        }
    }

    /// Sends a command and does not wait for its answer, which the machine may be too late to give.
    pub(super) fn tell(&mut self, command: &str, timeout: Duration) -> Result<(), MachineError> {
        self.unheard += 1;
        let message = format!("{}\n", json!({"execute": command}));
        self.send(message.as_bytes(), command, Instant::now() + timeout, timeout)
    }

    /// Takes in the events that have arrived, without waiting.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.fill()?;
        while let Some(message) = self.take_message() {
            self.note_event(&message);
        }
        Ok(())
    }

    /// The last reason for an end that the emulator gave.
    pub(super) fn shutdown(&self) -> Option<Shutdown> {
        self.shutdown
    }

    /// Whether the guest has stopped the machine (event GUEST_PANICKED: the device by which it does so was made for panics).
    pub(super) fn guest_stopped(&self) -> bool {
        self.guest_stopped
    }

    fn send(&mut self, bytes: &[u8], command: &str, deadline: Instant, timeout: Duration) -> Result<(), MachineError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(length) => rest = rest.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT, command, deadline, timeout)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(MachineError::Ended),
            }
        }
        Ok(())
    }

    fn next_message(&mut self, command: &str, deadline: Instant, timeout: Duration) -> Result<Value, MachineError> {
        loop {
            if let Some(message) = self.take_message() {
                self.note_event(&message);
                return Ok(message);
            }
            if self.closed {
                return Err(MachineError::Ended);
            }
            self.wait(PollFlags::IN, command, deadline, timeout)?;
            self.fill().map_err(|source| MachineError::Host { doing: "read the control socket", source })?;
        }
    }

    fn wait(&self, what: PollFlags, command: &str, deadline: Instant, timeout: Duration) -> Result<(), MachineError> {
        let mut fds = [PollFd::new(&self.stream, what)];
        let ready = poll_until(&mut fds, deadline)
            .map_err(|source| MachineError::Host { doing: "wait for the control socket", source })?;
        if ready {
            return Ok(());
        }
        Err(MachineError::Silent { command: command.into(), timeout })
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 << 10];
        while !self.closed {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(length) => self.buffer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The emulator was killed with something unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.closed = true,
                Err(error) => return Err(error),
            }
            if self.buffer.len() > MESSAGE_BYTES_MAX {
                return Err(io::Error::other("a message of the emulator is too long"));
            }
        }
        Ok(())
    }

    fn take_message(&mut self) -> Option<Value> {
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let message: Value = serde_json::from_slice(&line).unwrap_or(Value::Null);
            let is_answer = message.get("return").or_else(|| message.get("error")).is_some();
            if !is_answer || self.unheard == 0 {
                return Some(message);
            }
            self.unheard -= 1;
        }
    }

    fn note_event(&mut self, message: &Value) {
        match message.get("event").and_then(Value::as_str) {
            Some("SHUTDOWN") => {}
            Some("GUEST_PANICKED") => {
                self.guest_stopped = true;
                return;
            }
            _ => return,
        }
        let reason = message.pointer("/data/reason").and_then(Value::as_str);
        self.shutdown = Some(match reason {
            Some("guest-shutdown") => Shutdown::Guest,
            Some("guest-reset") => Shutdown::Reset,
            _ => Shutdown::Other,
        });
    }
}

/// Waits until one of `fds` is ready; `false` at the deadline.
pub(super) fn poll_until(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        // A wait that does not fit the system's type is as good as for ever.
        let timeout = Timespec::try_from(rest).ok();
        match rustix::event::poll(fds, timeout.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn version(greeting: &Value) -> Option<String> {
    let qemu = greeting.pointer("/QMP/version/qemu")?;
    let part = |name: &str| qemu.get(name).and_then(Value::as_u64);
    Some(format!("QEMU {}.{}.{}", part("major")?, part("minor")?, part("micro")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(100);
    const GREETING: &str = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 13, \"minor\": 0, \"major\": 10}}}}\r\n";

    /// A client whose emulator has already said everything that it will say.
    fn client(says: &str) -> (Result<(Qmp, String), MachineError>, UnixStream) {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(says.as_bytes()).expect("writes");
        (Qmp::connect(ours, SOON), theirs)
    }

    #[test]
    fn commands_are_answered_and_events_noted_in_between() {
        let says = format!(
            "{GREETING}{{\"return\": {{}}}}\r\n{{\"event\": \"SHUTDOWN\", \"data\": {{\"guest\": true, \"reason\": \
             \"guest-reset\"}}}}\r\n{{\"return\": {{\"status\": \"paused\"}}}}\r\n"
        );
        let (connected, _theirs) = client(&says);
        let (mut qmp, version) = connected.expect("greets");
        assert_eq!(version, "QEMU 10.0.13");
        assert_eq!(qmp.shutdown(), None);
        let status = qmp.execute("query-status", json!({}), SOON).expect("answers");
        assert_eq!(status, json!({"status": "paused"}));
        assert_eq!(qmp.shutdown(), Some(Shutdown::Reset));
    }

    #[test]
    fn the_answer_to_a_command_that_was_only_told_is_not_that_of_the_next() {
        let (connected, mut theirs) = client(&format!("{GREETING}{{\"return\": {{}}}}\n{{\"return\": 1}}\n"));
        let (mut qmp, _) = connected.expect("greets");
        qmp.tell("cont", SOON).expect("sends");
        qmp.drain().expect("reads");
        theirs.write_all(b"{\"return\": 2}\n").expect("writes");
        assert_eq!(qmp.execute("query-status", json!({}), SOON).expect("answers"), json!(2));
    }

    #[test]
    fn a_refused_command_carries_the_reason() {
        let (connected, _theirs) =
            client(&format!("{GREETING}{{\"return\": {{}}}}\n{{\"error\": {{\"desc\": \"no such\"}}}}\n"));
        let error = connected.expect("greets").0.execute("jump", json!({}), SOON).expect_err("refused").to_string();
        assert_eq!(error, "the emulator answered `jump` with: no such");
    }

    #[test]
    fn silence_nonsense_and_an_end_are_told_apart() {
        let (connected, _theirs) = client("");
        assert_eq!(connected.expect_err("silent").to_string(), "the emulator did not answer `greeting` within 0.1 s");
        let (connected, _theirs) = client("nonsense\n");
        let error = connected.expect_err("nonsense").to_string();
        assert_eq!(error, "the emulator answered `greeting` with: null");
        let (connected, theirs) = client(&format!("{GREETING}{{\"return\": {{}}}}\n"));
        drop(theirs);
        let error = connected.expect("greets").0.execute("stop", json!({}), SOON).expect_err("ended");
        assert!(matches!(error, MachineError::Ended));
    }
}
