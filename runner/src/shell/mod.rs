//! `ktstr shell` and `bazel run <test>.shell`: the machine of a test, for a person at a terminal or for one command.
//!
//! ```text
//! command line, or launch file of a test ──given──▶ Shell
//! request for a command on a saved host ──nested──▶ Shell
//! Shell ──machine──▶ Conversation: terminal ◀──▶ streams in the window ◀──▶ shell in the guest ──▶ exit status
//! ```
//!
//! The machine is that of a case, but for its clock, and boots; or it is a host for other machines, and was saved. Nothing is recorded and nothing is judged.

mod choose;
mod conversation;
mod given;
mod nested;
mod notices;
mod signals;
mod terminal;
mod tools;
mod typed;

pub(crate) use given::{of_test, shell};
pub(crate) use nested::nested;

use crate::backend::{Choice, Taken};
use crate::cli::ShellOptions;
use crate::execute::in_full;
use crate::image;
use crate::inputs::{self, HOST_BYTES_MAX, SCHEDULER_BYTES_MAX};
use crate::scheduler::{self, SchedulerPaths};
use crate::session::{host, usage, SessionError};
use crate::snapshot::window_bytes;
use conversation::{Broken, Conversation};
use ktstr_channel::{payload, Window};
use ktstr_model::{Clock, Placement, SchedulerPlan, ShellPlan, Topology};
use ktstr_vmm::{command_line, Emulator, Machine, MachineSpec, SavedMachine, Start};
use notices::Notices;
use signals::{Interrupted, Signals};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tools::Tools;

/// Exit status if the command did not come to one of its own.
pub(crate) const NO_STATUS: u8 = 125;
/// The seed of a machine with a shell, which nothing draws from.
const SEED: u64 = 0;
/// `TERM` where nothing says another one.
const TERMINAL: &str = "dumb";

/// Everything that a shell is made of.
struct Shell {
    topology: Topology,
    kernel_args: Vec<String>,
    scheduler: Option<(SchedulerPlan, SchedulerPaths)>,
    origin: Origin,
    /// Whether its CPUs have that. Then there is more room for files, too.
    virtualization: bool,
    release: String,
    agent: PathBuf,
    emulator: Option<Emulator>,
    backend: Choice,
    busybox: PathBuf,
    options: ShellOptions,
    /// What else the person could have taken.
    others: Vec<String>,
}

/// What the machine begins with.
enum Origin {
    /// A kernel, as machines boot it, and stage one.
    Boot { kernel: PathBuf, init: PathBuf },
    /// The packed save of a machine that has booted.
    Saved(PathBuf),
}

impl Shell {
    /// Runs it; gives the exit status for this program.
    fn run(&self, signals: &Signals) -> Result<u8, SessionError> {
        self.check()?;
        let taken = Taken::new(self.backend.backend, self.emulator.as_ref());
        taken.check(&self.topology, self.options.clock, "--topology").map_err(usage)?;
        let backend = taken.machines().map_err(host)?;
        let scheduler = self.scheduler.as_ref().map(|(plan, paths)| scheduler::load(paths, plan));
        let scheduler = scheduler.transpose().map_err(usage)?;
        let also = scheduler.as_ref().map_or(0, Vec::len);
        let most = if self.virtualization { HOST_BYTES_MAX } else { SCHEDULER_BYTES_MAX };
        let tools = tools::pack(&self.busybox, &self.options.files, also, most).map_err(usage)?;
        tools.warnings.iter().for_each(|text| eprintln!("ktstr: WARNING: {text}"));
        let scratch = tempfile::Builder::new().prefix("ktstr-shell-").tempdir().map_err(host)?;
        let window = self.window(&scratch.path().join("window"), &tools, scheduler.as_deref())?;
        let (start, kernel, initramfs) = self.start(scratch.path())?;
        let spec = MachineSpec {
            start,
            topology: self.topology.clone(),
            clock: self.options.clock,
            virtualization: self.virtualization,
            placement: Placement::default(),
            seed: SEED,
            instants: None,
            kernel,
            initramfs,
            command_line: command_line(
                Some((backend.window_at(&self.topology), window_bytes(self.virtualization) as u64)),
                &self.kernel_args,
            ),
            window: Some(scratch.path().join("window")),
            directory: scratch.path().to_owned(),
        };
        self.announce();
        let machine = backend.start(&spec).map_err(host)?;
        self.converse(machine, &window, signals)
    }

    /// What the machine begins with, made of files in `scratch`.
    fn start(&self, scratch: &Path) -> Result<(Start, PathBuf, Option<PathBuf>), SessionError> {
        match &self.origin {
            Origin::Boot { kernel, init } => {
                let initramfs = scratch.join("initramfs.cpio");
                let init = inputs::read("guest program", init).map_err(host)?;
                std::fs::write(&initramfs, image::initramfs(&init)).map_err(host)?;
                Ok((Start::Boot, kernel.clone(), Some(initramfs)))
            }
            Origin::Saved(file) => {
                let directory = scratch.join("saved");
                std::fs::create_dir(&directory).map_err(host)?;
                let saved = SavedMachine::unpack(file, &directory).map_err(host)?;
                Ok((Start::Saved(saved), PathBuf::new(), None))
            }
        }
    }

    /// What can be known before any file is read.
    fn check(&self) -> Result<(), SessionError> {
        let ShellOptions { exec, clock, .. } = &self.options;
        match exec.as_deref() {
            Some(command) if command.trim().is_empty() => Err(usage("--exec: there is no command in it")),
            Some(command) if command.contains('\0') => Err(usage("--exec: a NUL cannot be in a command")),
            Some(_) => Ok(()),
            None if !terminal::is_there() => {
                Err(usage("standard input is no terminal, and a shell for a person needs one; for a command there is --exec CMD"))
            }
            None if *clock == Clock::Virtual => Err(usage(
                "--clock virtual needs --exec: the time of a guest that waits for a person would run ahead, days in a minute",
            )),
            None => Ok(()),
        }
    }

    /// The window with everything that the guest is to do.
    fn window(&self, path: &Path, tools: &Tools, scheduler: Option<&[u8]>) -> Result<Window, SessionError> {
        let window = Window::create_of(path, window_bytes(self.virtualization)).map_err(host)?;
        window.with_terminal().map_err(host)?;
        let (rows, columns) = terminal::size();
        window.set_terminal_size(rows, columns);
        let agent = inputs::read("guest program", &self.agent).map_err(host)?;
        let plan = postcard::to_stdvec(&self.plan()).map_err(host)?;
        let mut blobs = vec![
            (payload::AGENT, agent.as_slice()),
            (payload::SHELL, plan.as_slice()),
            (payload::FILES, tools.archive.as_slice()),
        ];
        blobs.extend(scheduler.map(|archive| (payload::SCHEDULER, archive)));
        payload::lay(&window, &blobs).map_err(host)?;
        window.go();
        Ok(window)
    }

    fn plan(&self) -> ShellPlan {
        let interactive = self.options.exec.is_none();
        let terminal = std::env::var("TERM").ok().filter(|name| interactive && !name.is_empty());
        ShellPlan {
            command: self.options.exec.clone(),
            scheduler: self.scheduler.as_ref().map(|(plan, _)| plan.clone()),
            attach: self.attaches().is_some(),
            prompt: self.machine_in_words(),
            terminal: terminal.unwrap_or_else(|| TERMINAL.into()),
        }
    }

    /// Name of the scheduler that is to be attached.
    fn attaches(&self) -> Option<&str> {
        let (plan, _) = self.scheduler.as_ref()?;
        (!self.options.detached).then_some(plan.name.as_str())
    }

    /// `1n2l4c2t scx_x`.
    fn machine_in_words(&self) -> String {
        let scheduler = self.attaches().map(|name| format!(" {name}")).unwrap_or_default();
        format!("{}{scheduler}", self.topology)
    }

    /// Says what was taken: to a person always, with a command only if there was a choice.
    fn announce(&self) {
        if self.options.exec.is_some() && self.others.is_empty() {
            return;
        }
        let others = match self.others.as_slice() {
            [] => String::new(),
            others => format!(" (or {})", others.join(", ")),
        };
        eprintln!("ktstr: {} on {}{others}", self.release, self.machine_in_words());
        self.backend.why.iter().for_each(|why| eprintln!("ktstr: {why}"));
        if self.options.exec.is_none() {
            eprintln!("ktstr: `exit` ends the machine; if it does not listen any more: Ctrl-] three times");
        }
    }

    fn converse(&self, machine: Box<dyn Machine>, window: &Window, signals: &Signals) -> Result<u8, SessionError> {
        let conversation = Conversation {
            machine,
            window,
            signals,
            notices: Notices::new(self.attaches().map(str::to_owned)),
            interactive: self.options.exec.is_none(),
            clock: self.options.clock,
            cpus: self.topology.cpus(),
        };
        match conversation.follow() {
            Ok(status) => Ok(exit_status(status)),
            Err(broken @ Broken::Interrupted(Interrupted::Signal(number))) => {
                eprintln!("ktstr: {}", in_full(&broken));
                Ok(128 + u8::try_from(number).unwrap_or(0))
            }
            Err(Broken::NoScheduler) => Ok(NO_STATUS),
            Err(broken) => Err(host(broken)),
        }
    }
}

/// The exit status of a process as a shell gives it, from its wait status.
fn exit_status(status: i32) -> u8 {
    let status = ExitStatus::from_raw(status);
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NO_STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_what_a_shell_would_give() {
        assert_eq!((exit_status(0), exit_status(7 << 8), exit_status(9)), (0, 7, 137));
    }
}
