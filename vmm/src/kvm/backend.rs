//! The back end: what it can do, and the three things that it makes: a booted machine, a save, a machine from a save.

use super::arch::{Architecture, Native};
use super::control::Control;
use super::devices::{Devices, SERIAL_IRQ};
use super::host::{self, refused};
use super::machine::{KvmMachine, VERSION};
use super::memory::{fill, map, Vm, Writes};
use super::pin::host_cpus;
use super::save::{save, State};
use super::vcpu::{Shared, Vcpu};
use crate::console::ConsoleTail;
use crate::saved::{self, Description};
use crate::window::OpenWindow;
use crate::{
    memory_map, ram, Capabilities, Gpa, Machine, MachineBackend, MachineSpec, SavedMachine, Start, StartError,
};
use ktstr_model::{Backend, Clock, Mebibytes, Topology};
use kvm_ioctls::Kvm;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

const CAPABILITIES: Capabilities = Capabilities {
    backend: Backend::Kvm,
    clocks: &[(Clock::Real, 512)],
    numa_nodes_max: 64,
    memory_max: Mebibytes(1 << 20),
    exit_code_max: 255,
    repeatable: false,
    saves: true,
    virtualization: &[],
    instants: &[],
};

/// Makes machines on the host's KVM.
#[derive(Debug, Clone, Copy, Default)]
pub struct KvmBackend;

impl KvmBackend {
    /// A machine whose CPUs stand at their first instruction, with `files` as its RAM.
    fn assemble(
        &self,
        kvm: &Kvm,
        spec: &MachineSpec,
        files: &[Arc<File>],
        writes: Writes,
        saves: bool,
    ) -> Result<KvmMachine, StartError> {
        let pinned = if spec.placement.pin_cpus { host_cpus(spec.topology.cpus())? } else { Vec::new() };
        let window = OpenWindow::of(spec)?;
        let state = match &spec.start {
            Start::Boot => None,
            Start::Saved(saved) => {
                saved.description().check_fits(&describe(kvm, spec)?, saved.directory())?;
                Some(State::read(saved.directory())?)
            }
        };
        let vm = kvm.create_vm().map_err(refused("make a machine"))?;
        let vm = Vm::new(vm, map(&spec.topology, files, writes, window.as_ref())?)?;
        if let (Start::Saved(saved), true) = (&spec.start, spec.placement.huge_pages) {
            fill(vm.memory(), &spec.topology, &ram::open_in(saved.directory(), &spec.topology)?)?;
        }
        Native::prepare(kvm, &vm.fd, &spec.topology)?;
        let cpus = Native::make_cpus(kvm, &vm.fd, &spec.topology)?;
        match (&state, cpus.first()) {
            (Some(state), _) => state.restore(&vm.fd, &cpus)?,
            (None, Some(first)) => Native::boot(first, vm.memory(), spec)?,
            (None, None) => {}
        }
        let memory = vm.observed(&spec.topology, files, writes, window)?;
        let console_path = spec.directory.join("console");
        let console = ConsoleTail::create(&console_path)?;
        let devices = devices(&vm, &console_path, state.as_ref(), saves)?;
        let shared = Arc::new(Shared { control: Control::new(cpus.len()), devices, vm });
        let mut machine = KvmMachine { vcpus: Vec::new(), shared, memory, console, console_path, pinned, exit: None };
        for (number, cpu) in (0..).zip(cpus) {
            let on = machine.pinned.get(number as usize).map(|host| host.number);
            let vcpu = Vcpu::start(number, cpu, on, &machine.shared);
            machine.vcpus.push(vcpu.map_err(|source| StartError::Host { doing: "start the thread of a CPU", source })?);
        }
        Ok(machine)
    }
}

impl MachineBackend for KvmBackend {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn window_at(&self, topology: &Topology) -> Gpa {
        memory_map::window_at(topology)
    }

    fn start(&self, spec: &MachineSpec) -> Result<Box<dyn Machine>, StartError> {
        self.check_spec(spec)?;
        let kvm = host::open()?;
        let (files, writes) = match &spec.start {
            // Files of a save are no huge pages, so these are filled from them.
            _ if spec.placement.huge_pages => (ram::make_huge(&spec.topology)?, Writes::Shared),
            Start::Boot => (ram::make(&spec.topology)?, Writes::Shared),
            Start::Saved(saved) => (ram::open_in(saved.directory(), &spec.topology)?, Writes::Private),
        };
        let machine = self.assemble(&kvm, spec, &files, writes, false)?;
        machine.shared.control.resume();
        tracing::debug!(topology = %spec.topology, "machine runs on KVM");
        Ok(Box::new(machine))
    }

    fn save(
        &self,
        spec: &MachineSpec,
        into: &Path,
        give_up: &mut dyn FnMut(Duration) -> Option<String>,
    ) -> Result<SavedMachine, StartError> {
        self.check_spec(spec)?;
        let kvm = host::open()?;
        let files = ram::to_be_saved(spec, into)?;
        let machine = self.assemble(&kvm, spec, &files, Writes::Shared, true)?;
        save(machine, &kvm, spec, into, give_up)?;
        let saved = SavedMachine::seal(into, files.len(), describe(&kvm, spec)?)?;
        tracing::debug!(into = %into.display(), topology = %spec.topology, "machine saved on KVM");
        Ok(saved)
    }
}

fn devices(vm: &Vm, console: &Path, state: Option<&State>, saves: bool) -> Result<Devices, StartError> {
    let unusable = |source| StartError::File { what: "console", path: console.into(), source };
    let file = File::options().append(true).open(console).map_err(unusable)?;
    let line =
        EventFd::new(EFD_NONBLOCK).map_err(|source| StartError::Host { doing: "make an interrupt line", source })?;
    vm.fd.register_irqfd(&line, SERIAL_IRQ).map_err(refused("connect the serial port's interrupt"))?;
    Devices::new(file, line, &state.map(|state| state.devices).unwrap_or_default(), saves)
        .map_err(|source| StartError::Host { doing: "make the serial port", source })
}

/// What the machine of `spec` fits to, without the files.
fn describe(kvm: &Kvm, spec: &MachineSpec) -> Result<Description, StartError> {
    let topology = serde_json::to_string(&spec.topology)
        .map_err(|error| StartError::Host { doing: "describe the topology", source: error.into() })?;
    Ok(Description {
        format: saved::FORMAT,
        emulator: VERSION.into(),
        machine: vec![format!("topology {topology}"), format!("cpuid {}", Native::identity(kvm, &spec.topology)?)],
        window: OpenWindow::of(spec)?.map(|window| window.bytes),
        host: Some(saved::real_clock_host()),
        files: Vec::new(),
    })
}
