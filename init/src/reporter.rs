//! The way to the host: events into the ring, heartbeats, and what the host has laid into the window.

use crate::clock;
use crate::error::{Doing, GuestError};
use crate::sys::window::WindowMapping;
use ktstr_channel::layout::{HEARTBEAT_NANOS, LARGE_WINDOW_BYTES, WINDOW_BYTES};
use ktstr_channel::ports::WINDOW_PARAMETER;
use ktstr_channel::{payload, Blob, Frame, RingWriter, Window};
use ktstr_model::{Event, GuestNanos, What};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Between two looks at the go word.
const GO_POLL_NS: u64 = 1_000_000;

/// The guest's end of the channel.
#[derive(Debug)]
pub struct Reporter {
    mapping: WindowMapping,
    ring: RingWriter,
    next_beat: u64,
    /// What is sent again in each machine that starts from a save.
    kept: Option<Vec<Event>>,
}

impl Reporter {
    /// Reaches the window that the kernel's command line names.
    ///
    /// # Errors
    /// What is in the way.
    pub fn open() -> Result<Self, GuestError> {
        let command_line = fs::read_to_string("/proc/cmdline").doing(|| "read /proc/cmdline".into())?;
        let (address, bytes) = window_place(&command_line)?;
        Self::at(Path::new("/dev/mem"), address, bytes)
    }

    /// Reaches a window of the usual size at `address` of `memory`.
    ///
    /// # Errors
    /// What is in the way.
    pub fn over(memory: &Path, address: u64) -> Result<Self, GuestError> {
        Self::at(memory, address, WINDOW_BYTES)
    }

    fn at(memory: &Path, address: u64, bytes: usize) -> Result<Self, GuestError> {
        let doing = || format!("map the window at {address:#x} of {}", memory.display());
        let mapping = WindowMapping::open(memory, address, bytes)
            .doing(doing)
            .map_err(|error| error.hint("the kernel has to be built with CONFIG_DEVMEM, and not locked down"))?;
        mapping.window().check().doing(doing)?;
        let ring = RingWriter::open(mapping.window());
        Ok(Self { mapping, ring, next_beat: 0, kept: None })
    }

    /// Keeps what is sent from here on, for the machines that will start from a save.
    pub fn keep(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// Takes the window as it is now: that of a machine which has just been started from a save is a new one. What was kept is sent again,
    /// with its times: the host of this machine has not seen it.
    ///
    /// # Errors
    /// There is no window.
    pub fn start_over(&mut self) -> Result<(), GuestError> {
        self.mapping.window().check().doing(|| "find the window of the machine that started from a save".into())?;
        self.ring = RingWriter::open(self.mapping.window());
        self.next_beat = 0;
        for event in self.kept.take().unwrap_or_default() {
            self.send_at(event.at.0, event.what)?;
            self.beat();
        }
        Ok(())
    }

    /// Sends an event that happens now.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn send(&mut self, what: What) -> Result<(), GuestError> {
        self.send_at(clock::now(), what)
    }

    /// Sends an event that happened at guest time `at`.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn send_at(&mut self, at: u64, what: What) -> Result<(), GuestError> {
        let doing = || "send an event to the host".to_owned();
        let event = Event { at: GuestNanos(at), what };
        let encoded = Frame::encode(&event);
        self.kept.iter_mut().for_each(|kept| kept.push(event.clone()));
        let frame = encoded.inspect_err(|_| self.mapping.window().drop_event()).doing(doing)?;
        for part in self.ring.parts(&frame) {
            self.mapping.need(part).doing(doing)?;
        }
        self.ring.push(self.mapping.window(), &frame);
        Ok(())
    }

    /// Shows the host that the guest is alive, if it is time for that. Cheap enough for every turn of a loop.
    pub fn beat(&mut self) {
        let now = clock::now();
        if now >= self.next_beat {
            self.mapping.window().beat();
            self.next_beat = now + HEARTBEAT_NANOS;
        }
    }

    /// Asks the host for so many of its ops, of which it has done all but the last.
    pub fn want_ops(&self, count: u64) {
        self.mapping.window().want_ops(count);
    }

    /// How many ops the host has done.
    pub fn ops_done(&self) -> u64 {
        self.mapping.window().ops_done()
    }

    /// Sleeps until `deadline`, in guest time, or until the next heartbeat is due.
    pub fn nap(&mut self, deadline: u64) {
        self.beat();
        clock::sleep_until(deadline.min(self.next_beat));
    }

    /// Sleeps until `deadline`, in guest time, with heartbeats.
    pub fn wait_until(&mut self, deadline: u64) {
        while clock::now() < deadline {
            self.nap(deadline);
        }
    }

    /// Waits until the host has laid the payload into the window. There is no bound: a saved machine waits here until it is
    /// started, and the host has a deadline for the boot.
    pub fn wait_for_go(&self) {
        while !self.mapping.window().is_go() {
            clock::sleep_until(clock::now() + GO_POLL_NS);
        }
    }

    /// The window with its terminal, of a machine with a shell.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub fn terminal(&mut self) -> Result<&Window, GuestError> {
        self.mapping.need(Window::terminal_part()).doing(|| "map the terminal".into())?;
        Ok(self.mapping.window())
    }

    /// The parts of the payload, once it is there.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn payload(&mut self) -> Result<Vec<Blob>, GuestError> {
        let doing = || "read the payload".to_owned();
        self.mapping.need(self.mapping.window().payload_part()).doing(doing)?;
        payload::blobs(self.mapping.window()).doing(doing)
    }

    /// Writes a part of the payload to `to`.
    ///
    /// # Errors
    /// If it is damaged or cannot be written.
    pub fn unpack(&self, blob: &Blob, to: impl Write) -> Result<(), GuestError> {
        payload::unpack(self.mapping.window(), blob, to).map_err(|error| {
            // The cause is not in the message of an error of its kind.
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            GuestError::new("unpack the payload", format!("{error}{cause}"))
        })
    }
}

/// Physical address of the window, and its size.
fn window_place(command_line: &str) -> Result<(u64, usize), GuestError> {
    let doing = "find the window";
    let value = command_line.split_whitespace().find_map(|word| word.strip_prefix(WINDOW_PARAMETER));
    let value = value.ok_or_else(|| {
        GuestError::new(
            doing,
            format!("there is no {WINDOW_PARAMETER}0x<address>,<bytes> on the kernel's command line"),
        )
    })?;
    let place = value.split_once(',').and_then(|(address, bytes)| {
        let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        let bytes = bytes.parse().ok().filter(|bytes| [WINDOW_BYTES, LARGE_WINDOW_BYTES].contains(bytes))?;
        Some((address, bytes))
    });
    let known = format!("{WINDOW_BYTES} or {LARGE_WINDOW_BYTES}");
    place.ok_or_else(|| GuestError::new(doing, format!("{WINDOW_PARAMETER}{value} is not 0x<address>,{known}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ktstr_channel::{RingReader, Window};

    /// Both ends of a window in a file.
    pub(crate) fn both_ends() -> (tempfile::TempDir, Window, Reporter) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("window");
        let host = Window::create(&path).expect("a window");
        let guest = Reporter::over(&path, 0).expect("reaches it");
        (directory, host, guest)
    }

    #[test]
    fn what_was_kept_is_sent_again_to_a_new_window() {
        let (directory, host, mut guest) = both_ends();
        guest.send(What::Ready).expect("is sent");
        guest.keep();
        guest.send_at(7, What::StepStarted { step: 1 }).expect("is sent");
        assert_eq!(RingReader::default().poll(&host).events.len(), 2);
        // As after the start from a save: another window is where the old one was.
        let host = Window::create(&directory.path().join("window")).expect("a window");
        guest.start_over().expect("is there");
        guest.send_at(9, What::Ready).expect("is sent");
        let seen: Vec<(u64, What)> =
            RingReader::default().poll(&host).events.into_iter().map(|event| (event.at.0, event.what)).collect();
        assert_eq!(seen, [(7, What::StepStarted { step: 1 }), (9, What::Ready)]);
    }

    #[test]
    fn events_reach_the_host_through_a_ring_that_is_mapped_in_chunks() {
        let (_directory, host, mut guest) = both_ends();
        let mut reader = RingReader::default();
        for number in 0..300 {
            let release = "x".repeat(if number % 100 == 0 { 1 << 20 } else { 10 });
            let seen = ktstr_model::event::SeenMachine { release, ..Default::default() };
            guest.send_at(number, What::Booted(seen)).expect("is sent");
        }
        let polled = reader.poll(&host);
        assert_eq!(polled.problem, None);
        assert!(polled.events.iter().map(|event| event.at.0).eq(0..300));
    }

    #[test]
    fn the_next_program_goes_on_where_the_first_stopped() {
        let (directory, host, mut guest) = both_ends();
        guest.send(What::Ready).expect("is sent");
        let mut next = Reporter::over(&directory.path().join("window"), 0).expect("reaches it");
        next.send(What::Finished).expect("is sent");
        let whats: Vec<What> = RingReader::default().poll(&host).events.into_iter().map(|event| event.what).collect();
        assert_eq!(whats, [What::Ready, What::Finished]);
    }

    #[test]
    fn a_wait_has_heartbeats() {
        let (_directory, host, mut guest) = both_ends();
        guest.wait_until(clock::now() + 2 * HEARTBEAT_NANOS + HEARTBEAT_NANOS / 2);
        assert!((2..=3).contains(&host.beats()), "{}", host.beats());
    }

    #[test]
    fn the_payload_arrives() {
        let (_directory, host, mut guest) = both_ends();
        let agent = vec![7; 3 << 20];
        payload::lay(&host, &[("agent", &agent), ("plan", b"p")]).expect("fits");
        host.go();
        guest.wait_for_go();
        let blobs = guest.payload().expect("whole");
        let mut unpacked = Vec::new();
        guest.unpack(payload::find(&blobs, "agent").expect("there"), &mut unpacked).expect("whole");
        assert_eq!(unpacked, agent);
    }

    #[test]
    fn the_command_line_says_where_the_window_is() {
        let place = |text: &str| window_place(text).map_err(|error| error.problem);
        assert_eq!(place("quiet ktstr.window=0x100000000,67108864 x\n"), Ok((0x1_0000_0000, WINDOW_BYTES)));
        assert_eq!(place("ktstr.window=0x2,268435456"), Ok((2, LARGE_WINDOW_BYTES)));
        let missing = "there is no ktstr.window=0x<address>,<bytes> on the kernel's command line";
        assert_eq!(place("quiet"), Err(missing.into()));
        for text in ["ktstr.window=0x1,5", "ktstr.window=1,67108864", "ktstr.window=0x1"] {
            assert_eq!(place(text), Err(format!("{text} is not 0x<address>,67108864 or 268435456")));
        }
    }

    #[test]
    fn memory_without_a_window_is_refused() {
        let error = Reporter::over(Path::new("/nowhere/mem"), 0x1000).expect_err("is not there").to_string();
        assert!(error.starts_with("failed to map the window at 0x1000 of /nowhere/mem: No such file"), "{error}");
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(WINDOW_BYTES as u64).expect("room");
        let error = Reporter::over(file.path(), 0).expect_err("zeros").to_string();
        assert!(error.contains("no window there: the first word is 0x0000000000000000"), "{error}");
    }
}
