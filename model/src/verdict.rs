//! Findings and verdicts.

use crate::{GuestNanos, Origin};
use serde::{Deserialize, Serialize};

/// Verdict of a finding, a case or a target: a lattice in this order, joined by `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was looked at is within its bounds.
    Pass,
    /// Not run.
    Skipped,
    /// A check had nothing to look at. Never a pass.
    Unknown,
    /// The harness or the host is at fault. Never the scheduler's failure and never a pass.
    Infrastructure,
    /// The system under test is at fault.
    Fail,
}

impl Verdict {
    /// As it is named in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
            Self::Infrastructure => "infrastructure",
            Self::Fail => "fail",
        }
    }

    /// Exit status of a process whose joined verdict is this one.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Pass | Self::Skipped => 0,
            Self::Unknown | Self::Fail => 1,
            Self::Infrastructure => 3,
        }
    }

    /// Whether it makes a target red.
    pub fn is_red(self) -> bool {
        self.exit_status() != 0
    }
}

/// Where in the life of a case something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the machine started.
    Prepare,
    /// Until the guest's stage one is up.
    Boot,
    /// The scheduler under test was started and has not asked the kernel for anything that could be seen.
    Load,
    /// The kernel's verifier looked at the scheduler.
    Verify,
    /// The kernel was attaching the scheduler.
    Attach,
    /// While the scenario ran.
    Run,
    /// The scheduler was told to end, after the last step.
    Detach,
    /// After its last step.
    Finish,
}

impl Phase {
    /// As it is named in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Boot => "boot",
            Self::Load => "load",
            Self::Verify => "verify",
            Self::Attach => "attach",
            Self::Run => "run",
            Self::Detach => "detach",
            Self::Finish => "finish",
        }
    }
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A check's bound was passed.
    Check,
    /// A check had nothing to look at.
    NothingToJudge,
    /// The kernel panicked.
    Panic,
    /// The guest stopped making progress.
    Hang,
    /// The CPU gave up: a fault while handling a double fault.
    TripleFault,
    /// The guest restarted by itself.
    Reboot,
    /// The guest switched itself off before the scenario ended.
    PowerOff,
    /// A worker was ended by something else than the test.
    WorkerDied,
    /// The guest did not reach its first stage in time.
    BootTimeout,
    /// The guest could not do what it was told.
    Guest,
    /// What the guest sees is not the topology that was declared.
    Topology,
    /// The emulator could not be started or ended by itself.
    Emulator,
    /// The guest's messages to the host were damaged or lost.
    Channel,
    /// An op of the host could not be done, or did not read what was expected.
    Op,
    /// What was traced did not fit into the kernel's buffers.
    Trace,
    /// The host: disk full, no memory, missing files.
    Host,
    /// The host held off a CPU of the machine for longer than what failed allows.
    HostSteal,
    /// Cut off by a signal or the deadline.
    Interrupted,
    /// The scheduler called `scx_bpf_error`.
    BpfError,
    /// The kernel found that the scheduler did something that it may not (its reason "runtime error", and others of that kind).
    RuntimeError,
    /// The kernel's watchdog found a task that the scheduler did not run.
    Stall,
    /// The kernel's watchdog found a task that could not run because of a real-time task on its CPU: not the scheduler's fault.
    StallBehindRt,
    /// The scheduler was unregistered by somebody else than the test.
    Unregistered,
    /// The kernel's verifier refused the scheduler.
    Verifier,
    /// The user part of the scheduler panicked.
    UserPanic,
    /// The user part of the scheduler ended by itself.
    Exit,
    /// The user part of the scheduler was killed by a signal.
    Signal,
    /// The scheduler printed an error and went on.
    ErrorLog,
    /// The user part did not come to the point at which it asks the kernel to attach.
    LoadHang,
    /// The kernel did not come to an end with attaching.
    AttachHang,
    /// The scheduler was told to end and did not.
    DetachHang,
    /// The kernel has not what the scheduler under test needs.
    KernelLacks,
    /// The failure that the test expects did not happen.
    Unexpected,
}

impl Cause {
    /// As it is named in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::NothingToJudge => "nothing to judge",
            Self::Panic => "panic",
            Self::Hang => "hang",
            Self::TripleFault => "triple fault",
            Self::Reboot => "reboot",
            Self::PowerOff => "power off",
            Self::WorkerDied => "worker died",
            Self::BootTimeout => "boot timeout",
            Self::Guest => "guest",
            Self::Topology => "topology",
            Self::Emulator => "emulator",
            Self::Channel => "channel",
            Self::Op => "op",
            Self::Trace => "trace",
            Self::Host => "host",
            Self::HostSteal => "host steal",
            Self::Interrupted => "interrupted",
            Self::BpfError => "scx_bpf_error",
            Self::RuntimeError => "runtime error",
            Self::Stall => "stall",
            Self::StallBehindRt => "stall behind a real-time task",
            Self::Unregistered => "unregistered",
            Self::Verifier => "verifier",
            Self::UserPanic => "user panic",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::ErrorLog => "error log",
            Self::LoadHang => "load hang",
            Self::AttachHang => "attach hang",
            Self::DetachHang => "detach hang",
            Self::KernelLacks => "kernel lacks",
            Self::Unexpected => "unexpected",
        }
    }

    /// Whether it is about the scheduler under test.
    pub fn is_of_scheduler(self) -> bool {
        match self {
            Self::BpfError
            | Self::RuntimeError
            | Self::Stall
            | Self::StallBehindRt
            | Self::Unregistered
            | Self::Verifier
            | Self::UserPanic
            | Self::Exit
            | Self::Signal
            | Self::ErrorLog
            | Self::LoadHang
            | Self::AttachHang
            | Self::DetachHang => true,
            Self::Check
            | Self::NothingToJudge
            | Self::Panic
            | Self::Hang
            | Self::TripleFault
            | Self::Reboot
            | Self::PowerOff
            | Self::WorkerDied
            | Self::BootTimeout
            | Self::Guest
            | Self::Topology
            | Self::Emulator
            | Self::Channel
            | Self::Op
            | Self::Trace
            | Self::Host
            | Self::HostSteal
            | Self::Interrupted
            | Self::KernelLacks
            | Self::Unexpected => false,
        }
    }

    /// Whether it is a failure of what is tested, which a test can expect.
    pub fn is_failure(self) -> bool {
        let of_the_guest = [
            Self::Check,
            Self::Op,
            Self::Panic,
            Self::Hang,
            Self::TripleFault,
            Self::Reboot,
            Self::PowerOff,
            Self::WorkerDied,
        ];
        self.is_of_scheduler() || of_the_guest.contains(&self)
    }
}

/// One thing that was found. Passed checks are findings too, with what they measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What it says of the case.
    pub verdict: Verdict,
    /// What kind of thing it is.
    pub cause: Cause,
    /// When in the life of the case.
    pub phase: Phase,
    /// Name of the check; none if it is not about a check.
    pub check: Option<String>,
    /// What was measured, with its unit: "gap of 812.3ms".
    pub measured: String,
    /// The bound, with its unit: "at most 500ms"; empty where there is none.
    pub bound: String,
    /// Who set the bound.
    pub origin: Option<Origin>,
    /// Where.
    pub place: Place,
    /// What it means or what to try; may be empty.
    pub explanation: String,
}

/// Where something was found; whatever is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Name of the worker: `cpu_spin/3`.
    pub worker: Option<String>,
    /// Name of the cgroup.
    pub cgroup: Option<String>,
    /// CPU number.
    pub cpu: Option<u32>,
    /// Index of the step.
    pub step: Option<u32>,
    /// Guest time.
    pub at: Option<GuestNanos>,
}

/// The verdict of all findings; none at all is [`Verdict::Unknown`].
pub fn join(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_found_is_not_a_pass() {
        assert_eq!(join(&[]), Verdict::Unknown);
    }

    #[test]
    fn the_lattice_is_in_order() {
        use Verdict::{Fail, Infrastructure, Pass, Skipped, Unknown};
        assert!(Pass < Skipped && Skipped < Unknown && Unknown < Infrastructure && Infrastructure < Fail);
        let status = [Pass, Skipped, Unknown, Infrastructure, Fail].map(Verdict::exit_status);
        assert_eq!(status, [0, 0, 1, 3, 1]);
    }
}
