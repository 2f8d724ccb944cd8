//! x86-64: CPUs with APICs, a kernel entered by PVH or by the 64-bit boot protocol, ACPI tables.

pub(in crate::kvm) mod acpi;
mod boot;
pub(in crate::kvm) mod cpuid;
mod entry;
mod state;

use super::Architecture;
use crate::kvm::host::refused;
use crate::{CpuRegisters, MachineSpec, StartError};
use ktstr_model::Topology;
use kvm_bindings::{
    kvm_enable_cap, CpuId, KVM_CAP_X2APIC_API, KVM_MAX_CPUID_ENTRIES, KVM_MP_STATE_HALTED,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use sha2::{Digest, Sha256};
use std::io;
use vm_memory::GuestMemoryMmap;

/// See the module.
#[derive(Debug)]
pub(in crate::kvm) struct X86_64;

/// Three pages that KVM needs on Intel hosts, where no memory is and Linux looks for none (Documentation/virt/kvm/api.rst,
/// `KVM_SET_TSS_ADDR`).
const TSS_ADDRESS: usize = 0xfffb_d000;
/// From this APIC id on, interrupts name their CPU by 32 bits.
const APIC_ID_8_BIT_MAX: u32 = 254;

impl Architecture for X86_64 {
    type CpuState = state::CpuState;
    type VmState = state::VmState;

    fn prepare(_kvm: &Kvm, vm: &VmFd, topology: &Topology) -> Result<(), StartError> {
        vm.set_tss_address(TSS_ADDRESS).map_err(refused("place KVM's own pages"))?;
        if topology.largest_apic_id() > APIC_ID_8_BIT_MAX {
            let flags = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
            let wide_ids =
                kvm_enable_cap { cap: KVM_CAP_X2APIC_API, args: [u64::from(flags), 0, 0, 0], ..Default::default() };
            vm.enable_cap(&wide_ids).map_err(refused("have APIC ids of 32 bits"))?;
        }
        vm.create_irq_chip().map_err(refused("make the interrupt controllers"))
    }

    fn make_cpus(kvm: &Kvm, vm: &VmFd, topology: &Topology) -> Result<Vec<VcpuFd>, StartError> {
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(refused("ask what CPUs may show"))?;
        let make = |number| {
            let id = u64::from(topology.apic_id(number));
            let cpu = vm.create_vcpu(id).map_err(refused("make a CPU"))?;
            let shown = CpuId::from_entries(&cpuid::for_cpu(supported.as_slice(), topology, number));
            let shown = shown.map_err(|_| StartError::Host {
                doing: "describe a CPU",
                source: io::Error::other("it shows more than KVM takes"),
            })?;
            cpu.set_cpuid2(&shown).map_err(refused("have a CPU show the topology"))?;
            Ok(cpu)
        };
        (0..topology.cpus()).map(make).collect()
    }

    fn identity(kvm: &Kvm, topology: &Topology) -> Result<String, StartError> {
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(refused("ask what CPUs may show"))?;
        let mut digest = Sha256::new();
        for entry in cpuid::for_cpu(supported.as_slice(), topology, 0) {
            let words = [entry.function, entry.index, entry.eax, entry.ebx, entry.ecx, entry.edx];
            words.iter().for_each(|word| digest.update(word.to_le_bytes()));
        }
        let digest = digest.finalize();
        Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    fn boot(first: &VcpuFd, memory: &GuestMemoryMmap, spec: &MachineSpec) -> Result<(), StartError> {
        let entry = boot::load(memory, spec)?;
        entry::enter(first, memory, &entry)
    }

    fn save_cpu(kvm: &Kvm, cpu: &VcpuFd) -> Result<state::CpuState, StartError> {
        state::save_cpu(kvm, cpu)
    }

    fn restore_cpu(cpu: &VcpuFd, state: &state::CpuState) -> Result<(), StartError> {
        state::restore_cpu(cpu, state)
    }

    fn save_vm(vm: &VmFd) -> Result<state::VmState, StartError> {
        state::save_vm(vm)
    }

    fn restore_vm(vm: &VmFd, state: &state::VmState) -> Result<(), StartError> {
        state::restore_vm(vm, state)
    }

    fn registers(number: u32, cpu: &VcpuFd) -> Result<CpuRegisters, kvm_ioctls::Error> {
        let (plain, special) = (cpu.get_regs()?, cpu.get_sregs()?);
        Ok(CpuRegisters {
            cpu: number,
            rip: plain.rip,
            rsp: plain.rsp,
            rbp: plain.rbp,
            rflags: plain.rflags,
            cr0: special.cr0,
            cr2: special.cr2,
            cr3: special.cr3,
            cr4: special.cr4,
            privilege: special.ss.dpl,
            halted: cpu.get_mp_state()?.mp_state == KVM_MP_STATE_HALTED,
        })
    }
}
