//! A running machine as a [`Machine`].

use super::arch::{Architecture, Native};
use super::control::Ending;
use super::host::refused;
use super::pin::HostCpu;
use super::save::State;
use super::vcpu::{Shared, Vcpu};
use crate::console::{find_panic, ConsoleTail};
use crate::{CpuRegisters, Exit, GuestMemory, HostTime, Machine, MachineError, StartError};
use kvm_ioctls::Kvm;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What runs the machine, in reports. The number changes with the machine that a guest sees.
pub(super) const VERSION: &str = "ktstr KVM 1";

pub(super) struct KvmMachine {
    pub(super) vcpus: Vec<Vcpu>,
    pub(super) shared: Arc<Shared>,
    pub(super) memory: GuestMemory,
    pub(super) console: ConsoleTail,
    pub(super) console_path: PathBuf,
    /// What its CPUs stay on, in the order of their numbers; none: they go where the host wants.
    pub(super) pinned: Vec<HostCpu>,
    pub(super) exit: Option<Exit>,
}

impl KvmMachine {
    /// Has all CPUs stand while `look` looks at them; `None` if the machine is at its end.
    fn standing<T>(&self, look: impl FnOnce(&[Vcpu]) -> T) -> Option<T> {
        let stands = self.shared.control.stand(|| self.vcpus.iter().for_each(Vcpu::kick));
        stands.then(|| look(&self.vcpus))
    }

    /// What a save holds besides the RAM, of a machine that stands.
    pub(super) fn state(&self, kvm: &Kvm) -> Result<State, StartError> {
        let look = |vcpus: &[Vcpu]| {
            let cpus = vcpus.iter().map(|vcpu| Native::save_cpu(kvm, &vcpu.fd())).collect::<Result<_, _>>()?;
            let vm = Native::save_vm(&self.shared.vm.fd)?;
            Ok(State { cpus, vm, devices: self.shared.devices.state() })
        };
        let ended = || refused("save a machine that has ended")(kvm_ioctls::Error::new(libc::ESRCH));
        self.standing(look).unwrap_or_else(|| Err(ended()))
    }

    /// The kernel's last words.
    pub(super) fn panic(&self) -> Result<Option<String>, MachineError> {
        find_panic(&self.console_path).map_err(|source| MachineError::Host { doing: "read the console", source })
    }

    /// Ends all threads.
    fn finish(&mut self) {
        self.shared.control.finish(|| self.vcpus.iter().for_each(Vcpu::kick));
        self.vcpus.iter_mut().for_each(Vcpu::join);
    }

    fn conclude(&mut self, ending: Option<Ending>) -> Result<Exit, MachineError> {
        self.finish();
        let exit = classify(ending, self.panic()?);
        tracing::debug!(%exit, "machine ended");
        self.exit = Some(exit.clone());
        Ok(exit)
    }
}

/// Why the machine ended: by itself, or by its owner; `panic` is what its console says. A panic ends in a reset or in nothing.
fn classify(ending: Option<Ending>, panic: Option<String>) -> Exit {
    match (ending, panic) {
        (Some(Ending::Guest(code)), _) => Exit::Guest { code },
        (Some(Ending::Failed(log)), _) => Exit::EmulatorFailed { status: VERSION.into(), log },
        (_, Some(message)) => Exit::Panic { message },
        (Some(Ending::PowerOff), None) => Exit::PowerOff,
        (Some(Ending::Reset), None) => Exit::Reboot,
        (Some(Ending::TripleFault), None) => Exit::TripleFault,
        (None, None) => Exit::Stopped,
    }
}

impl Machine for KvmMachine {
    fn version(&self) -> &str {
        VERSION
    }

    fn wait(&mut self, timeout: Duration) -> Result<Option<Exit>, MachineError> {
        if self.exit.is_none() {
            let now = Instant::now();
            let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(1 << 30));
            match self.shared.control.ending(deadline) {
                Some(ending) => return self.conclude(Some(ending)).map(Some),
                None => return Ok(None),
            }
        }
        Ok(self.exit.clone())
    }

    fn pause(&mut self) -> Result<(), MachineError> {
        self.standing(|_| ()).ok_or(MachineError::Ended)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        if self.exit.is_some() {
            return Err(MachineError::Ended);
        }
        self.shared.control.resume();
        Ok(())
    }

    fn stop(&mut self) -> Result<Exit, MachineError> {
        if let Some(exit) = self.wait(Duration::ZERO)? {
            return Ok(exit);
        }
        self.finish();
        let ending = self.shared.control.ending(Instant::now());
        self.conclude(ending)
    }

    fn cpu_time(&self) -> Duration {
        self.vcpus.iter().map(|vcpu| vcpu.host_time().ran).sum()
    }

    fn vcpu_times(&self) -> Vec<HostTime> {
        self.vcpus.iter().map(Vcpu::host_time).collect()
    }

    fn console(&mut self) -> Result<Vec<u8>, MachineError> {
        self.console.read_new().map_err(|source| MachineError::Host { doing: "read the console", source })
    }

    fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    fn registers(&mut self) -> Result<Vec<CpuRegisters>, MachineError> {
        let was_running = self.shared.control.runs();
        let read = |vcpus: &[Vcpu]| -> Result<Vec<CpuRegisters>, kvm_ioctls::Error> {
            vcpus.iter().zip(0..).map(|(vcpu, number)| Native::registers(number, &vcpu.fd())).collect()
        };
        let registers = self.standing(read).ok_or(MachineError::Ended)?;
        if was_running {
            self.shared.control.resume();
        }
        registers.map_err(|error| MachineError::Host { doing: "read the registers", source: error.into() })
    }
}

impl Drop for KvmMachine {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_explains_a_reset_and_a_silence_and_nothing_else() {
        let panic = || Some("no init".to_owned());
        let panicked = Exit::Panic { message: "no init".into() };
        for ending in [Some(Ending::Reset), Some(Ending::TripleFault), None] {
            assert_eq!(classify(ending, panic()), panicked);
        }
        assert_eq!(classify(Some(Ending::Guest(3)), panic()), Exit::Guest { code: 3 });
        assert_eq!(classify(Some(Ending::PowerOff), None), Exit::PowerOff);
        assert_eq!(classify(None, None), Exit::Stopped);
        let failed = classify(Some(Ending::Failed("CPU 0".into())), panic());
        assert_eq!(failed.to_string(), "the emulator ended (ktstr KVM 1): CPU 0");
    }
}
