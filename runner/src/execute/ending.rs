//! From how a machine ended to what the recording says of it.

use super::watch::Silence;
use ktstr_recording::{CpuState, Ending};
use ktstr_vmm::{CpuRegisters, Exit};
use std::time::Duration;

/// A machine that ended without our doing.
pub(super) fn of_exit(exit: Exit) -> Ending {
    of_silence(exit, || Ending::EmulatorFailed { status: "stopped by nobody".into(), log: String::new() })
}

/// A machine that was stopped for the reason of `stopped`, unless it had come to another end by itself in the meantime.
pub(super) fn of_silence(exit: Exit, stopped: impl FnOnce() -> Ending) -> Ending {
    match exit {
        Exit::Guest { code } => Ending::Guest { code },
        Exit::PowerOff => Ending::PowerOff,
        Exit::Reboot => Ending::Reboot,
        Exit::TripleFault => Ending::TripleFault,
        Exit::Panic { message } => Ending::Panic { message },
        Exit::EmulatorFailed { status, log } => Ending::EmulatorFailed { status, log },
        Exit::Stopped => stopped(),
    }
}

impl Silence {
    /// As the recording says it, with what the CPUs were doing.
    pub(super) fn ending(self, registers: &[CpuRegisters]) -> Ending {
        match self {
            Self::Boot { cpu } => Ending::BootTimeout { cpu_ms: millis(cpu) },
            Self::Hang { cpu } => Ending::Hang { cpu_ms: millis(cpu), cpus: registers.iter().map(cpu_state).collect() },
        }
    }
}

fn cpu_state(registers: &CpuRegisters) -> CpuState {
    CpuState {
        cpu: registers.cpu,
        instruction: registers.rip,
        interrupts: registers.interrupts_enabled(),
        halted: registers.halted,
        user: registers.privilege == 3,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_came_before_the_stop_is_the_reason() {
        let silence = Silence::Hang { cpu: Duration::from_secs(10) };
        let panicked = of_silence(Exit::Panic { message: "x".into() }, || silence.ending(&[]));
        assert_eq!(panicked, Ending::Panic { message: "x".into() });
        let hung = of_silence(Exit::Stopped, || silence.ending(&[]));
        assert_eq!(hung, Ending::Hang { cpu_ms: 10_000, cpus: vec![] });
    }
}
