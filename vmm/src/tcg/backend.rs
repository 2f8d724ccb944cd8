//! The back end: what it can do, and the three things that it makes: a booted machine, a save, a machine from a save.

use super::arguments::{identity, Boot, Origin};
use super::launch::{launch, Launched, START_TIMEOUT};
use super::machine::{threads, TcgMachine};
use super::private::private;
use super::restore::{must_settle, restore, settle};
use super::{save, stub, Emulator};
use crate::saved::{self, Description, STATE};
use crate::{memory_map, ram};
use crate::{
    Capabilities, Gpa, GuestMemory, Machine, MachineBackend, MachineSpec, SavedError, SavedMachine, Start, StartError,
};
use ktstr_model::{Backend, Clock, Mebibytes, Topology};
use serde_json::json;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Most CPUs: under the real clock what was seen to boot; under the virtual clock all CPUs share 125 million instructions a second,
/// and 64 of them do not reach init in two minutes.
const CLOCKS: &[(Clock, u32)] = &[(Clock::Real, 256), (Clock::Virtual, 32)];

const CAPABILITIES: Capabilities = Capabilities {
    backend: Backend::Tcg,
    clocks: CLOCKS,
    numa_nodes_max: 64,
    memory_max: Mebibytes(256 << 10),
    // The emulator's exit status is a byte and holds (code << 1) | 1.
    exit_code_max: 127,
    repeatable: true,
    saves: true,
    // SVM does not run with the emulator's instruction count.
    virtualization: &[Clock::Real],
    instants: &[Clock::Virtual],
};

/// Makes emulated machines.
#[derive(Debug, Clone)]
pub struct TcgBackend {
    emulator: Emulator,
}

impl TcgBackend {
    /// A back end that uses `emulator`; whether it is there is seen at the first start.
    pub fn new(emulator: Emulator) -> Self {
        Self { emulator }
    }

    fn boot(&self, spec: &MachineSpec) -> Result<(Launched, GuestMemory), StartError> {
        let files = BootFiles::open(spec)?;
        let ram = ram::make(&spec.topology)?;
        let mut launched = launch(&self.emulator, spec, Origin::Boot(files.boot(spec)), &ram, &[])?;
        let memory = ram::shared(&spec.topology, &ram, launched.window.take());
        Ok((launched, memory))
    }

    fn start_saved(&self, spec: &MachineSpec, saved: &SavedMachine) -> Result<(Launched, GuestMemory), StartError> {
        let ram = ram::open_in(saved.directory(), &spec.topology)?;
        let mut launched = self.restored(spec, saved, &ram, None)?;
        let memory = private(launched.process.id(), &spec.topology, &ram, launched.window.take())?;
        Ok((launched, memory))
    }

    /// A machine that has taken the state of `saved` and stands still, with `ram` as its memory. It can be stopped by its guest for
    /// another save if it is given a file for that.
    fn restored(
        &self,
        spec: &MachineSpec,
        saved: &SavedMachine,
        ram: &[Arc<File>],
        next: Option<&File>,
    ) -> Result<Launched, StartError> {
        let path = saved.directory().join(STATE);
        let state = File::open(&path).map_err(|source| SavedError::File { doing: "read", path, source })?;
        let stub = stub::make().map_err(|source| StartError::Host { doing: "make a stub for the kernel", source })?;
        let stub = stub.as_raw_fd();
        let origin = if next.is_some() { Origin::SavedToSave { stub } } else { Origin::Saved { stub } };
        let also: Vec<RawFd> = [stub, state.as_raw_fd()].into_iter().chain(next.map(AsRawFd::as_raw_fd)).collect();
        let mut launched = launch(&self.emulator, spec, origin, ram, &also)?;
        let wanted = describe(spec, &launched);
        saved.description().check_fits(&wanted, saved.directory())?;
        launched.steer(|qmp| restore(qmp, state.as_raw_fd()))?;
        if spec.clock == Clock::Virtual && must_settle(&launched.version) {
            launched.steer(settle)?;
        }
        Ok(launched)
    }

    /// A machine that stands still before its way to a save into `state`.
    fn to_be_saved(&self, spec: &MachineSpec, ram: &[Arc<File>], state: &File) -> Result<Launched, StartError> {
        match &spec.start {
            Start::Boot => {
                let files = BootFiles::open(spec)?;
                launch(&self.emulator, spec, Origin::Save(files.boot(spec)), ram, &[state.as_raw_fd()])
            }
            Start::Saved(saved) => self.restored(spec, saved, ram, Some(state)),
        }
    }
}

impl MachineBackend for TcgBackend {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn window_at(&self, topology: &Topology) -> Gpa {
        memory_map::window_at(topology)
    }

    fn start(&self, spec: &MachineSpec) -> Result<Box<dyn Machine>, StartError> {
        self.check_spec(spec)?;
        let (mut launched, memory) = match &spec.start {
            Start::Boot => self.boot(spec)?,
            Start::Saved(saved) => self.start_saved(spec, saved)?,
        };
        let threads = match spec.clock {
            Clock::Real => threads(&launched.steer(|qmp| qmp.execute("query-cpus-fast", json!({}), START_TIMEOUT))?),
            Clock::Virtual => Vec::new(),
        };
        // A machine that stands still answers nothing, and it stands where it starts.
        match launched.instants {
            Ok(_) => launched.steer(|qmp| qmp.tell("cont", START_TIMEOUT))?,
            Err(_) => launched.steer(|qmp| qmp.execute("cont", json!({}), START_TIMEOUT).map(drop))?,
        }
        let Launched { process, qmp, version, console, instants, .. } = launched;
        tracing::debug!(%version, topology = %spec.topology, clock = spec.clock.name(), "machine runs");
        let directory = spec.directory.clone();
        Ok(Box::new(TcgMachine { process, qmp, version, memory, console, directory, threads, instants, exit: None }))
    }

    fn save(
        &self,
        spec: &MachineSpec,
        into: &Path,
        give_up: &mut dyn FnMut(Duration) -> Option<String>,
    ) -> Result<SavedMachine, StartError> {
        self.check_spec(spec)?;
        // Nobody looks at it on its way.
        let spec = &MachineSpec { instants: None, ..spec.clone() };
        let unwritable = |path: &Path, source| SavedError::File { doing: "write", path: path.to_owned(), source };
        let ram = ram::to_be_saved(spec, into)?;
        let path = into.join(STATE);
        let state = File::create_new(&path).map_err(|source| unwritable(&path, source))?;
        let launched = self.to_be_saved(spec, &ram, &state)?;
        let description = describe(spec, &launched);
        save::save(launched, spec, state.as_raw_fd(), give_up)?;
        let saved = SavedMachine::seal(into, ram.len(), description)?;
        tracing::debug!(into = %into.display(), topology = %spec.topology, clock = spec.clock.name(), "machine saved");
        Ok(saved)
    }
}

/// What the machine that `spec` makes of an emulator fits to, without the files.
fn describe(spec: &MachineSpec, launched: &Launched) -> Description {
    let window = launched.window.as_ref().map(|window| window.bytes);
    Description {
        format: saved::FORMAT,
        emulator: launched.version.clone(),
        machine: identity(spec, window.is_some()),
        window,
        host: (spec.clock == Clock::Real).then(saved::real_clock_host),
        files: Vec::new(),
    }
}

/// What is booted, as absolute paths: the emulator runs in the machine's directory.
struct BootFiles {
    kernel: PathBuf,
    initramfs: Option<PathBuf>,
}

impl BootFiles {
    fn open(spec: &MachineSpec) -> Result<Self, StartError> {
        let kernel = readable("kernel", &spec.kernel)?;
        let initramfs = spec.initramfs.as_deref().map(|path| readable("initramfs", path)).transpose()?;
        Ok(Self { kernel, initramfs })
    }

    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> Boot<'a> {
        Boot { kernel: &self.kernel, initramfs: self.initramfs.as_deref(), command_line: &spec.command_line }
    }
}

fn readable(what: &'static str, path: &Path) -> Result<PathBuf, StartError> {
    let unusable = |source| StartError::File { what, path: path.into(), source };
    File::open(path).map_err(unusable)?;
    std::path::absolute(path).map_err(unusable)
}
