//! A machine with a shell, from its start to its end: what is typed goes in, what the shell says comes out.

use super::notices::Notices;
use super::signals::{Interrupted, Signals};
use super::terminal::{self, Raw};
use super::typed::WayOut;
use crate::execute::{Silence, Watch};
use ktstr_channel::{RingReader, Stream, Window};
use ktstr_model::{Clock, What};
use ktstr_vmm::{Exit, Machine, MachineError};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How often the window is looked at.
const POLL: Duration = Duration::from_millis(2);
/// How often the watch is asked and the console is read; these cost system calls.
const LOOK: Duration = Duration::from_millis(50);
/// What of the console is kept to explain the end of a machine.
const CONSOLE_BYTES: usize = 8 << 10;
const CONSOLE_LINES: usize = 20;
/// What is typed and read at once.
const TYPED_BYTES: usize = 4096;

/// The shell did not come to an end of its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the shell was ended by {}", .0.describe())]
    Interrupted(Interrupted),
    #[error("the machine was ended (Ctrl-] three times)")]
    WayOut,
    #[error("{0}")]
    Machine(String),
    #[error("the guest failed to {doing}: {problem}")]
    Guest { doing: String, problem: String },
    /// What is to be said has been said.
    #[error("no shell without the scheduler")]
    NoScheduler,
    #[error("cannot write what the shell prints")]
    Write(#[source] io::Error),
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
    #[error("cannot watch the machine")]
    Watch(#[from] MachineError),
}

/// A machine with a shell.
pub(super) struct Conversation<'a> {
    pub(super) machine: Box<dyn Machine>,
    pub(super) window: &'a Window,
    pub(super) signals: &'a Signals,
    pub(super) notices: Notices,
    /// For a person at a terminal.
    pub(super) interactive: bool,
    pub(super) clock: Clock,
    pub(super) cpus: u32,
}

/// What has been seen of it.
#[derive(Default)]
struct Seen {
    reader: RingReader,
    booted: bool,
    /// Wait status of the shell.
    status: Option<i32>,
    broken: Option<Broken>,
    console: Vec<u8>,
    raw: Option<Raw>,
    way_out: WayOut,
}

impl Conversation<'_> {
    /// Follows the machine to its end; gives the wait status of the shell.
    pub(super) fn follow(mut self) -> Result<i32, Broken> {
        let mut seen = Seen::default();
        let followed = self.follow_machine(&mut seen);
        // Everything that is said after this is said on the person's own terminal.
        drop(seen.raw.take());
        match (followed, seen.status, seen.broken.take()) {
            // The status stands, whatever comes of the machine after it.
            (_, Some(status), _) => Ok(status),
            (_, None, Some(broken)) => Err(broken),
            (Err(error), None, None) => Err(error),
            (Ok(exit), None, None) => {
                let _ = self.take_console(&mut seen);
                Err(Broken::Machine(format!("{}{}", describe(&exit), tail(&seen.console))))
            }
        }
    }

    fn follow_machine(&mut self, seen: &mut Seen) -> Result<Exit, Broken> {
        let mut watch = Watch::new(self.clock, self.cpus, Instant::now());
        let mut next_look = Instant::now();
        loop {
            let exit = self.machine.wait(Duration::ZERO)?;
            self.take_events(seen)?;
            let carried = self.take_output()?;
            if let Some(exit) = exit {
                return Ok(exit);
            }
            if let Some(interrupted) = self.signals.interrupted() {
                self.machine.stop()?;
                return Err(Broken::Interrupted(interrupted));
            }
            if !carried {
                self.take_input(seen)?;
            }
            let now = Instant::now();
            if now < next_look {
                continue;
            }
            next_look = now + LOOK;
            if self.interactive && self.signals.resized() {
                let (rows, columns) = terminal::size();
                self.window.set_terminal_size(rows, columns);
            }
            self.take_console(seen)?;
            if let Some(silence) = watch.check(seen.booted, self.window.beats(), self.machine.cpu_time(), now) {
                self.machine.stop()?;
                return Err(Broken::Machine(format!("{}{}", describe_silence(silence), tail(&seen.console))));
            }
        }
    }

    fn take_events(&mut self, seen: &mut Seen) -> Result<(), Broken> {
        for event in seen.reader.poll(self.window).events {
            if let Some(notice) = self.notices.of(&event.what) {
                // A terminal that belongs to the guest does not begin lines by itself.
                let end = if seen.raw.is_some() { "\r\n" } else { "\n" };
                let begin = if seen.raw.is_some() { "\r\n" } else { "" };
                eprint!("{begin}ktstr: {notice}{end}");
            }
            match event.what {
                What::Booted(_) => seen.booted = true,
                What::Ready if self.interactive => seen.raw = Some(Raw::enter().map_err(Broken::Terminal)?),
                What::ShellExited { status } => {
                    self.take_output()?;
                    seen.raw = None;
                    seen.status = Some(status);
                }
                What::Failed(failure) => {
                    seen.broken = Some(Broken::Guest { doing: failure.doing, problem: failure.problem });
                }
                What::BrokenOff => seen.broken = Some(Broken::NoScheduler),
                _ => {}
            }
        }
        Ok(())
    }

    /// Prints what the shell has said; whether it was anything.
    fn take_output(&mut self) -> Result<bool, Broken> {
        let (output, errors) = (self.window.take(Stream::Output), self.window.take(Stream::Errors));
        let print = |to: &mut dyn Write, bytes: &[u8]| match bytes {
            [] => Ok(()),
            bytes => to.write_all(bytes).and_then(|()| to.flush()),
        };
        print(&mut io::stdout().lock(), &output).map_err(Broken::Write)?;
        print(&mut io::stderr().lock(), &errors).map_err(Broken::Write)?;
        Ok(!output.is_empty() || !errors.is_empty())
    }

    /// Waits for what is typed, for a moment, and lays it into the window. Before the shell is there it stays where it is.
    fn take_input(&mut self, seen: &mut Seen) -> Result<(), Broken> {
        let room = self.window.room(Stream::Input).min(TYPED_BYTES);
        let listens = seen.raw.is_some() && room > 0;
        let stdin = rustix::stdio::stdin();
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        let fds = if listens { &mut fds[..] } else { &mut [] };
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(POLL.subsec_nanos()) };
        match poll(fds, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(()),
            waited => waited.map_err(|error| Broken::Terminal(error.into()))?,
        };
        let mut typed = vec![0; room];
        let bytes = match rustix::io::read(stdin, &mut typed) {
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            read => read.map_err(|error| Broken::Terminal(error.into()))?,
        };
        let typed = typed.get(..bytes).unwrap_or_default();
        if typed.is_empty() {
            return Err(Broken::Terminal(io::Error::new(io::ErrorKind::UnexpectedEof, "it is gone")));
        }
        if seen.way_out.is_taken(typed, Instant::now()) {
            self.machine.stop()?;
            return Err(Broken::WayOut);
        }
        // There is room for it.
        self.window.put(Stream::Input, typed);
        Ok(())
    }

    fn take_console(&mut self, seen: &mut Seen) -> Result<(), Broken> {
        loop {
            let bytes = self.machine.console()?;
            if bytes.is_empty() {
                return Ok(());
            }
            seen.console.extend(bytes);
            let surplus = seen.console.len().saturating_sub(CONSOLE_BYTES);
            seen.console.drain(..surplus);
        }
    }
}

fn describe(exit: &Exit) -> String {
    match exit {
        Exit::Guest { code } => format!("the guest ended (exit code {code})"),
        Exit::PowerOff => "the machine was switched off".into(),
        Exit::Reboot => "the machine was reset".into(),
        Exit::TripleFault => "the machine was reset by a triple fault".into(),
        Exit::Panic { message } => format!("the kernel panicked: {message}"),
        Exit::EmulatorFailed { status, log } if log.is_empty() => format!("the emulator failed ({status})"),
        Exit::EmulatorFailed { status, log } => format!("the emulator failed ({status}): {log}"),
        Exit::Stopped => "the machine was ended".into(),
    }
}

fn describe_silence(silence: Silence) -> String {
    match silence {
        Silence::Boot { cpu } => format!("the guest did not boot in {:.1} s of CPU time", cpu.as_secs_f64()),
        Silence::Hang { cpu } => format!("the guest hangs: it said nothing for {:.1} s of CPU time", cpu.as_secs_f64()),
    }
}

/// The last lines of a console, to be put behind what is known.
fn tail(console: &[u8]) -> String {
    let text = String::from_utf8_lossy(console);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(CONSOLE_LINES)..).unwrap_or_default();
    if last.is_empty() {
        return String::new();
    }
    format!("\nlast lines of the console:\n  {}", last.join("\n  "))
}
