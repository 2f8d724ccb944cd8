//! Makes a snapshot with a scheduler attached:
//! `booted snapshot, agent, scheduler ──start──▶ attached ──▶ save point ──pack──▶ file`.
//!
//! A scheduler that does not come to be attached is no failure here: it is a verdict of each of its cases, which start without it and see
//! it for themselves. Then the file says so and why: it begins with [`UNATTACHED`], as no snapshot does.

use super::make::{directory_beside, MakeError};
use crate::execute::{Silence, Watch};
use ktstr_channel::{payload, RingReader, Window};
use ktstr_model::scheduler::Stream;
use ktstr_model::{Clock, Placement, SchedulerPlan, Topology, What};
use ktstr_vmm::{MachineBackend, MachineSpec, SavedError, SavedMachine, Start, StartError};
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// What the file begins with if there is no snapshot in it.
pub(super) const UNATTACHED: &str = "ktstr: not attached\n";

/// What is attached where.
#[derive(Debug)]
pub(crate) struct AttachmentOf<'a> {
    /// A machine that has booted.
    pub(crate) booted: &'a SavedMachine,
    pub(crate) agent: &'a [u8],
    /// The packed files of the scheduler.
    pub(crate) scheduler: &'a [u8],
    pub(crate) plan: &'a SchedulerPlan,
    pub(crate) topology: &'a Topology,
    pub(crate) clock: Clock,
}

/// Attaches a scheduler and packs the machine into `output`, or writes there why it was not attached. `stop` is asked often, and ends
/// it.
pub(crate) fn attach(
    backend: &dyn MachineBackend,
    of: &AttachmentOf<'_>,
    output: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<(), MakeError> {
    let directory = directory_beside(output)?;
    let at = |name: &str| directory.path().join(name);
    let window = Window::create(&at("window"))?;
    let plan = postcard::to_stdvec(of.plan).map_err(MakeError::Plan)?;
    let blobs = [(payload::AGENT, of.agent), (payload::ATTACH, plan.as_slice()), (payload::SCHEDULER, of.scheduler)];
    payload::lay(&window, &blobs).map_err(MakeError::Payload)?;
    window.go();
    let spec = MachineSpec {
        start: Start::Saved(of.booted.clone()),
        topology: of.topology.clone(),
        clock: of.clock,
        virtualization: false,
        placement: Placement::default(),
        seed: super::make::SEED,
        instants: None,
        kernel: PathBuf::new(),
        initramfs: None,
        command_line: String::new(),
        window: Some(at("window")),
        directory: directory.path().to_owned(),
    };
    let interrupted = Cell::new(false);
    let mut guest = Guest::new(&window, of);
    let saved = backend.save(&spec, &at("saved"), &mut |cpu| {
        interrupted.set(stop());
        if interrupted.get() {
            Some("it was interrupted".into())
        } else {
            guest.look(cpu)
        }
    });
    match saved {
        Ok(saved) => saved.pack(output).map_err(MakeError::Pack),
        Err(StartError::Saved(SavedError::NotReached { seen, .. })) if !interrupted.get() => {
            guest.take_events();
            // An emulator that has ended has often said nothing.
            let seen = seen.trim_end_matches([':', ' ']).to_owned();
            let text = format!("{UNATTACHED}{}\n", guest.last_words.unwrap_or(seen));
            std::fs::write(output, text).map_err(|source| MakeError::Write { path: output.to_owned(), source })
        }
        Err(error) => Err(MakeError::Attach(error)),
    }
}

/// Why there is no snapshot in a file that begins with `bytes`; none: there may be one.
pub(crate) fn unattached(bytes: &[u8]) -> Option<String> {
    let why = bytes.strip_prefix(UNATTACHED.as_bytes())?;
    Some(String::from_utf8_lossy(why).trim().to_owned())
}

/// What is seen of the guest on its way.
struct Guest<'a> {
    window: &'a Window,
    reader: RingReader,
    watch: Watch,
    booted: bool,
    /// What it said last that explains why it did not go on.
    last_words: Option<String>,
    /// What the scheduler has printed last, of its errors.
    printed: Option<String>,
}

impl<'a> Guest<'a> {
    fn new(window: &'a Window, of: &AttachmentOf<'_>) -> Self {
        let watch = Watch::new(of.clock, of.topology.cpus(), Instant::now());
        Self { window, reader: RingReader::default(), watch, booted: false, last_words: None, printed: None }
    }

    /// Why it has to be given up after so much CPU time. How long the scheduler may take is bounded by the guest itself.
    fn look(&mut self, cpu: Duration) -> Option<String> {
        self.take_events();
        let silence = self.watch.check(self.booted, self.window.beats(), cpu, Instant::now())?;
        let (Silence::Boot { cpu } | Silence::Hang { cpu }) = silence;
        Some(format!("it said nothing for {:.1} s of CPU time", cpu.as_secs_f64()))
    }

    /// Empties the ring, too, which does not hold all that a scheduler may print.
    fn take_events(&mut self) {
        for event in self.reader.poll(self.window).events {
            match event.what {
                What::Booted(_) => self.booted = true,
                What::SchedulerOutput(line) if line.stream == Stream::Stderr && !says_nothing(&line.text) => {
                    self.printed = Some(line.text);
                }
                What::Failed(failure) => {
                    self.last_words = Some(format!("the guest failed to {}: {}", failure.doing, failure.problem));
                }
                What::SchedulerOverdue(overdue) => {
                    let seconds = Duration::from_nanos(overdue.waited.0).as_secs_f64();
                    self.last_words = Some(format!("it was not attached after {seconds:.1} s"));
                }
                What::SchedulerExited { status } => {
                    let printed = self.printed.as_ref().map(|line| format!("; it printed: {line}")).unwrap_or_default();
                    self.last_words = Some(format!("it ended ({}){printed}", ExitStatus::from_raw(status)));
                }
                _ => {}
            }
        }
    }
}

/// An empty line, and what Rust programs print behind the message of a panic.
fn says_nothing(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("note: run with `RUST_BACKTRACE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_snapshot_is_told_by_its_first_bytes() {
        let text = format!("{UNATTACHED}it was not attached after 8.0 s\n");
        assert_eq!(unattached(text.as_bytes()).as_deref(), Some("it was not attached after 8.0 s"));
        // What zstd begins with.
        assert_eq!(unattached(b"\x28\xb5\x2f\xfd..."), None);
        assert_eq!(unattached(b""), None);
    }
}
