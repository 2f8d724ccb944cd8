//! What depends on the architecture of the machine, behind one trait. A new one gets a folder beside `x86_64/`.

pub(super) mod x86_64;

use crate::{CpuRegisters, MachineSpec, StartError};
use ktstr_model::Topology;
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use serde::{de::DeserializeOwned, Serialize};
use vm_memory::GuestMemoryMmap;

/// The architecture of this program's host, and so of its guests.
pub(super) type Native = x86_64::X86_64;

/// What the rest of the machine asks of an architecture.
pub(super) trait Architecture {
    /// Registers and local interrupt controller of a CPU.
    type CpuState: Serialize + DeserializeOwned;
    /// Shared interrupt controllers and clock.
    type VmState: Serialize + DeserializeOwned;

    /// Gives a new machine its interrupt controllers; before its CPUs.
    fn prepare(kvm: &Kvm, vm: &VmFd, topology: &Topology) -> Result<(), StartError>;
    /// Makes the CPUs, in the order of their numbers, each with what it shows of the topology.
    fn make_cpus(kvm: &Kvm, vm: &VmFd, topology: &Topology) -> Result<Vec<VcpuFd>, StartError>;
    /// In a few words: what CPUs made by [`Architecture::make_cpus`] show. Equal words, equal CPUs.
    fn identity(kvm: &Kvm, topology: &Topology) -> Result<String, StartError>;
    /// Lays kernel, initial RAM file system, command line and tables into memory, and has the first CPU stand at the entry.
    fn boot(first: &VcpuFd, memory: &GuestMemoryMmap, spec: &MachineSpec) -> Result<(), StartError>;
    /// Saves a CPU that stands.
    fn save_cpu(kvm: &Kvm, cpu: &VcpuFd) -> Result<Self::CpuState, StartError>;
    /// The reverse, for a new CPU.
    fn restore_cpu(cpu: &VcpuFd, state: &Self::CpuState) -> Result<(), StartError>;
    /// Saves the rest of a machine whose CPUs stand.
    fn save_vm(vm: &VmFd) -> Result<Self::VmState, StartError>;
    /// The reverse, for a new machine.
    fn restore_vm(vm: &VmFd, state: &Self::VmState) -> Result<(), StartError>;
    /// Registers of CPU `number`, which stands.
    fn registers(number: u32, cpu: &VcpuFd) -> Result<CpuRegisters, kvm_ioctls::Error>;
}
