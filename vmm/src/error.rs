//! What can go wrong with a machine that is not the guest's doing.

use ktstr_model::FieldError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A machine that did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The back end cannot make such a machine.
    #[error("machine refused: {0}")]
    Refused(#[from] FieldError),
    /// The emulator is not there.
    #[error("no emulator: {what} {} is missing; a test gets its emulator from the toolchain, `ktstr run` from --emulator", path.display())]
    EmulatorMissing {
        /// Which part of it.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The host has no KVM, or this process may not use it.
    #[error("no KVM: {} cannot be used; load kvm_intel or kvm_amd and let this user open it, or take the back end tcg", device.display())]
    NoKvm {
        /// The device.
        device: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Each CPU was to have one of the host for itself.
    #[error(
        "pin_cpus: the machine has {machine} CPUs, and this process may use {host} of the host; a smaller machine, a larger host, or no pin_cpus"
    )]
    TooFewHostCpus {
        /// CPUs of the machine.
        machine: usize,
        /// CPUs of the host that this process may use.
        host: usize,
    },
    /// The host's pool has not enough huge pages.
    #[error(
        "huge_pages: the machine needs {needed} huge pages of 2M, and {free} of the host's are free; `sysctl vm.nr_hugepages=N` makes N of them in \
         all, best right after the host's boot, or no huge_pages"
    )]
    HugePages {
        /// How many the machine needs.
        needed: u64,
        /// How many there are.
        free: u64,
        /// What the kernel says.
        source: io::Error,
    },
    /// A file of the machine cannot be used.
    #[error("cannot use the {what} {}", path.display())]
    File {
        /// Which one.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The window's file has a size that cannot be mapped.
    #[error("the window {} has {bytes} bytes; a multiple of {granule} would do", path.display())]
    WindowSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// What divides a size that would do.
        granule: u64,
    },
    /// A save that cannot be made or used.
    #[error(transparent)]
    Saved(#[from] crate::SavedError),
    /// The host did not give what a machine needs.
    #[error("cannot {doing}")]
    Host {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The emulator ended before the machine ran.
    #[error("the emulator ended before the machine ran ({status}): {log}")]
    EmulatorEnded {
        /// Exit status or signal.
        status: String,
        /// The end of what it said.
        log: String,
    },
    /// The emulator is there but does not do what it is told.
    #[error("the emulator did not come up: {problem}; it said: {log}")]
    EmulatorUnusable {
        /// What went wrong between us.
        problem: String,
        /// The end of what it said.
        log: String,
    },
}

/// A running machine that cannot be watched or steered.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// It has ended; [`crate::Machine::wait`] says how.
    #[error("the machine has ended")]
    Ended,
    /// It did not answer in time.
    #[error("the emulator did not answer `{command}` within {} s", timeout.as_secs_f64())]
    Silent {
        /// What it was told.
        command: String,
        /// How long it had.
        timeout: Duration,
    },
    /// It answered with something else.
    #[error("the emulator answered `{command}` with: {problem}")]
    Answer {
        /// What it was told.
        command: String,
        /// Its answer.
        problem: String,
    },
    /// It does not stand still at instants of guest time.
    #[error("no instants of guest time: {reason}")]
    NoInstants {
        /// Why not.
        reason: &'static str,
    },
    /// The host failed.
    #[error("cannot {doing}")]
    Host {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}
