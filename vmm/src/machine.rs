//! The contract of a back end.

use crate::{
    Capabilities, CpuRegisters, Exit, Gpa, GuestMemory, HostTime, Instants, MachineError, MachineSpec, SavedMachine,
    StartError,
};
use ktstr_model::{Clock, FieldError, Topology};
use std::path::Path;
use std::time::Duration;

/// Makes machines of one kind.
pub trait MachineBackend: Send + Sync {
    /// What this back end can do.
    fn capabilities(&self) -> &Capabilities;

    /// Whether it can make such a machine; `path` is where the topology stands in the declaration.
    ///
    /// # Errors
    /// The field that makes it impossible, and what would do.
    fn check(&self, topology: &Topology, clock: Clock, path: &str) -> Result<(), FieldError> {
        self.capabilities().check(topology, clock, path)
    }

    /// Whether it can make the machine of `spec`.
    ///
    /// # Errors
    /// As [`MachineBackend::check`].
    fn check_spec(&self, spec: &MachineSpec) -> Result<(), FieldError> {
        self.check(&spec.topology, spec.clock, "topology")?;
        if spec.instants.is_some() {
            self.capabilities().check_instants(spec.clock)?;
        }
        if spec.virtualization {
            self.capabilities().check_virtualization(spec.clock)?;
        }
        spec.placement.check(self.capabilities().backend, &spec.topology, "topology")
    }

    /// Where a machine of this topology has its window.
    fn window_at(&self, topology: &Topology) -> Gpa;

    /// Makes a machine and lets it run. May be called from any thread.
    ///
    /// # Errors
    /// A spec that cannot be, a missing file, an emulator that does not come up.
    fn start(&self, spec: &MachineSpec) -> Result<Box<dyn Machine>, StartError>;

    /// Starts `spec` and lets it run until the guest writes to [`ktstr_channel::ports::SAVE_PORT`]; saves RAM, CPUs and devices
    /// into the new or empty directory `into`, and ends the machine. The window is not a part of the save.
    ///
    /// A guest that boots has 40 s of CPU time and 4 s for each CPU to get there; if all its CPUs have halted, two minutes. What one
    /// does that goes on behind a save is the caller's affair: `give_up` is asked often, told the CPU time that the machine has used,
    /// and ends it by a reason, which reads after "the guest was to stop itself for a save, and".
    ///
    /// # Errors
    /// Those of [`MachineBackend::start`]; a guest that ended or did not stop itself, or was interrupted; files that cannot be written. What is in `into`
    /// then is no save.
    fn save(
        &self,
        spec: &MachineSpec,
        into: &Path,
        give_up: &mut dyn FnMut(Duration) -> Option<String>,
    ) -> Result<SavedMachine, StartError>;
}

/// A machine, from its first instruction to its exit. Dropping it ends it.
pub trait Machine: Send {
    /// What runs it, with its version.
    fn version(&self) -> &str;

    /// Blocks until the machine has ended, at most for `timeout`; `None` if it still runs. Once it has ended, every further call gives the
    /// same exit.
    ///
    /// # Errors
    /// The machine can no longer be watched; it is best dropped.
    fn wait(&mut self, timeout: Duration) -> Result<Option<Exit>, MachineError>;

    /// Stops all CPUs and guest time between two instructions.
    ///
    /// # Errors
    /// The machine has ended or does not answer.
    fn pause(&mut self) -> Result<(), MachineError>;

    /// Goes on after [`Machine::pause`].
    ///
    /// # Errors
    /// The machine has ended or does not answer.
    fn resume(&mut self) -> Result<(), MachineError>;

    /// Ends the machine now, unless it has ended already, and says how it ended. A machine whose kernel had panicked ends with
    /// [`Exit::Panic`] even if it never came to its reset.
    ///
    /// # Errors
    /// Its console cannot be read.
    fn stop(&mut self) -> Result<Exit, MachineError>;

    /// CPU time of the host that the machine has used: a measure for deadlines that another load on the host does not shorten.
    fn cpu_time(&self) -> Duration;

    /// What the host gave each CPU, in the order of their numbers. Empty under the virtual clock, which does not follow the host, and if it is
    /// not known: the machine may be gone.
    fn vcpu_times(&self) -> Vec<HostTime>;

    /// What the guest wrote to its console since the last call.
    ///
    /// # Errors
    /// The console cannot be read.
    fn console(&mut self) -> Result<Vec<u8>, MachineError>;

    /// Guest memory; a clone of it stays readable after the machine has ended, if the machine was booted. Of one that started from a save
    /// only the window does: the rest was private to it.
    fn memory(&self) -> &GuestMemory;

    /// Registers of all CPUs, in the order of their numbers; exact if the machine is paused.
    ///
    /// # Errors
    /// The machine has ended or does not answer.
    fn registers(&mut self) -> Result<Vec<CpuRegisters>, MachineError>;

    /// The instants for which its spec asks, once.
    ///
    /// # Errors
    /// [`MachineError::NoInstants`]: none were asked for, they were given out, or this emulator has none, and why.
    fn instants(&mut self) -> Result<Instants, MachineError> {
        Err(MachineError::NoInstants { reason: "this back end has none" })
    }
}
