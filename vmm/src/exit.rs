//! Why a machine ended.

use std::fmt;

/// Why a machine ended; each on evidence of its own, never by elimination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The guest wrote `code` to its debug exit ([`ktstr_channel::ports::EXIT_PORT`]).
    Guest {
        /// At most [`crate::Capabilities::exit_code_max`].
        code: u8,
    },
    /// The guest switched itself off through ACPI.
    PowerOff,
    /// The guest reset itself.
    Reboot,
    /// A CPU met a fault while it handled a double fault.
    TripleFault,
    /// The kernel said on its console that it panicked, and did not reach the debug exit afterwards.
    Panic {
        /// What stands after `Kernel panic - not syncing:`.
        message: String,
    },
    /// The owner ended it.
    Stopped,
    /// What runs the machine ended by itself: not the guest's doing.
    EmulatorFailed {
        /// Exit status or signal.
        status: String,
        /// The end of what it said.
        log: String,
    },
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest { code } => write!(f, "the guest ended with exit code {code}"),
            Self::PowerOff => f.write_str("the guest switched itself off"),
            Self::Reboot => f.write_str("the guest reset itself"),
            Self::TripleFault => f.write_str("the guest ran into a triple fault"),
            Self::Panic { message } => write!(f, "the kernel panicked: {message}"),
            Self::Stopped => f.write_str("the machine was stopped"),
            Self::EmulatorFailed { status, log } if log.is_empty() => {
                write!(f, "the emulator ended ({status}) and said nothing")
            }
            Self::EmulatorFailed { status, log } => write!(f, "the emulator ended ({status}): {log}"),
        }
    }
}
