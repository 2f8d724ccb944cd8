//! CPUs, interrupt controllers and clock of a machine that stands, as data.
//!
//! The structures are the kernel's own (Documentation/virt/kvm/api.rst), so a state is good for hosts of one kind only; the description of
//! a save names that kind. Guest time goes on from where it stood: the time stamp counters and KVM's clock are parts of the state.
#![allow(unsafe_code)]

use crate::kvm::host::refused;
use crate::StartError;
use kvm_bindings::{
    kvm_clock_data, kvm_debugregs, kvm_irqchip, kvm_lapic_state, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs,
    kvm_vcpu_events, kvm_xcrs, kvm_xsave, Msrs, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
    KVM_MAX_CPUID_ENTRIES,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};
use std::io;

/// Everything of a CPU.
#[derive(Serialize, Deserialize)]
pub(in crate::kvm) struct CpuState {
    plain: kvm_regs,
    special: kvm_sregs,
    extended: Vec<u32>,
    extended_control: kvm_xcrs,
    debug: kvm_debugregs,
    local_apic: kvm_lapic_state,
    run_state: kvm_mp_state,
    events: kvm_vcpu_events,
    model_specific: Vec<(u32, u64)>,
}

/// Everything else.
#[derive(Serialize, Deserialize)]
pub(in crate::kvm) struct VmState {
    controllers: Vec<kvm_irqchip>,
    /// Nanoseconds of KVM's clock.
    clock: u64,
}

/// The timer's register: good only once the counter and the timer's mode are there.
const MSR_TSC_DEADLINE: u32 = 0x6e0;
/// Bit of a task segment's type (Intel SDM vol. 3A, 9.2.2).
const TASK_BUSY: u8 = 1 << 1;
/// The largest area of [`kvm_xsave`], in words. Larger ones belong to features that a process has to ask for (AMX), and this one does not.
const XSAVE_WORDS: usize = 1024;
/// How many registers one call takes.
const MSRS_AT_ONCE: usize = 64;

pub(super) fn save_cpu(kvm: &Kvm, cpu: &VcpuFd) -> Result<CpuState, StartError> {
    let refuse = refused("save a CPU");
    // First: asking for it brings what the CPU was about to do to an end.
    let run_state = cpu.get_mp_state().map_err(&refuse)?;
    Ok(CpuState {
        plain: cpu.get_regs().map_err(&refuse)?,
        special: cpu.get_sregs().map_err(&refuse)?,
        extended: cpu.get_xsave().map_err(&refuse)?.region.to_vec(),
        extended_control: cpu.get_xcrs().map_err(&refuse)?,
        debug: cpu.get_debug_regs().map_err(&refuse)?,
        local_apic: cpu.get_lapic().map_err(&refuse)?,
        run_state,
        events: cpu.get_vcpu_events().map_err(&refuse)?,
        model_specific: read_msrs(kvm, cpu)?,
    })
}

pub(super) fn restore_cpu(cpu: &VcpuFd, state: &CpuState) -> Result<(), StartError> {
    let refuse = refused("restore a CPU");
    cpu.set_mp_state(state.run_state).map_err(&refuse)?;
    cpu.set_regs(&state.plain).map_err(&refuse)?;
    cpu.set_sregs(&special(cpu, &state.special)?).map_err(&refuse)?;
    let mut extended = kvm_xsave::default();
    if state.extended.len() != XSAVE_WORDS {
        let problem = format!("its extended registers have {} words", state.extended.len());
        return Err(StartError::Host { doing: "restore a CPU", source: io::Error::other(problem) });
    }
    extended.region.copy_from_slice(&state.extended);
    // SAFETY: KVM reads more than this structure only for features that this process has not asked for (see XSAVE_WORDS).
    unsafe { cpu.set_xsave(&extended) }.map_err(&refuse)?;
    cpu.set_xcrs(&state.extended_control).map_err(&refuse)?;
    cpu.set_debug_regs(&state.debug).map_err(&refuse)?;
    cpu.set_lapic(&state.local_apic).map_err(&refuse)?;
    write_msrs(cpu, &state.model_specific)?;
    cpu.set_vcpu_events(&state.events).map_err(&refuse)
}

pub(super) fn save_vm(vm: &VmFd) -> Result<VmState, StartError> {
    let refuse = refused("save the interrupt controllers");
    let controllers = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC].map(|chip_id| {
        let mut controller = kvm_irqchip { chip_id, ..Default::default() };
        vm.get_irqchip(&mut controller).map(|()| controller)
    });
    let clock = vm.get_clock().map_err(refused("save the clock"))?.clock;
    Ok(VmState { controllers: controllers.into_iter().collect::<Result<_, _>>().map_err(&refuse)?, clock })
}

pub(super) fn restore_vm(vm: &VmFd, state: &VmState) -> Result<(), StartError> {
    for controller in &state.controllers {
        vm.set_irqchip(controller).map_err(refused("restore the interrupt controllers"))?;
    }
    let clock = kvm_clock_data { clock: state.clock, ..Default::default() };
    vm.set_clock(&clock).map_err(refused("restore the clock"))
}

/// The special registers as the host's hardware has them.
///
/// A task segment that is in use is marked busy, which AMD's hardware does not show in its own copy of the segment; KVM adds the mark to what it gives
/// (arch/x86/kvm/svm/svm.c, `svm_get_segment`). QEMU's SVM (10.0, target/i386/tcg/seg_helper.c, `helper_check_io`) takes a segment with
/// the mark for none, and a program of the guest that may use a port dies of it.
fn special(cpu: &VcpuFd, saved: &kvm_sregs) -> Result<kvm_sregs, StartError> {
    let shown = cpu.get_cpuid2(KVM_MAX_CPUID_ENTRIES).map_err(refused("ask what a CPU shows"))?;
    let amd = shown.as_slice().iter().any(|leaf| leaf.function == 0 && leaf.ebx.to_le_bytes() == *b"Auth");
    let mut special = *saved;
    if amd {
        special.tr.type_ &= !TASK_BUSY;
    }
    Ok(special)
}

/// All model specific registers that are not zero, which they are on a new CPU; the timer's last.
fn read_msrs(kvm: &Kvm, cpu: &VcpuFd) -> Result<Vec<(u32, u64)>, StartError> {
    let list = kvm.get_msr_index_list().map_err(refused("list the model specific registers"))?;
    let mut values = Vec::new();
    let mut rest = list.as_slice();
    while !rest.is_empty() {
        let chunk = rest.get(..MSRS_AT_ONCE).unwrap_or(rest);
        let entries: Vec<_> = chunk.iter().map(|index| kvm_msr_entry { index: *index, ..Default::default() }).collect();
        let mut msrs = wrapped(&entries)?;
        let done = cpu.get_msrs(&mut msrs).map_err(refused("save the model specific registers"))?;
        values.extend(msrs.as_slice().iter().take(done).map(|entry| (entry.index, entry.data)));
        // It stops at one that this CPU does not have.
        let next = if done < chunk.len() { done + 1 } else { done };
        rest = rest.get(next..).unwrap_or_default();
    }
    values.retain(|(_, value)| *value != 0);
    values.sort_by_key(|(index, _)| *index == MSR_TSC_DEADLINE);
    Ok(values)
}

/// Writes them one after the other; one that cannot be written has to have its value already.
fn write_msrs(cpu: &VcpuFd, values: &[(u32, u64)]) -> Result<(), StartError> {
    let doing = "restore the model specific registers";
    let mut rest = values;
    while !rest.is_empty() {
        let chunk = rest.get(..MSRS_AT_ONCE).unwrap_or(rest);
        let entry = |(index, data): &(u32, u64)| kvm_msr_entry { index: *index, data: *data, ..Default::default() };
        let entries: Vec<_> = chunk.iter().map(entry).collect();
        let done = cpu.set_msrs(&wrapped(&entries)?).map_err(refused(doing))?;
        if let Some((index, value)) = chunk.get(done) {
            let mut there = wrapped(&[kvm_msr_entry { index: *index, ..Default::default() }])?;
            cpu.get_msrs(&mut there).map_err(refused(doing))?;
            let there = there.as_slice().first().map_or(0, |entry| entry.data);
            if there != *value {
                let problem = format!("register {index:#x} does not take {value:#x}, and has {there:#x}");
                return Err(StartError::Host { doing, source: io::Error::other(problem) });
            }
        }
        rest = rest.get((done + 1).min(chunk.len())..).unwrap_or_default();
    }
    Ok(())
}

fn wrapped(entries: &[kvm_msr_entry]) -> Result<Msrs, StartError> {
    Msrs::from_entries(entries).map_err(|error| StartError::Host {
        doing: "gather model specific registers",
        source: io::Error::other(format!("{error:?}")),
    })
}
