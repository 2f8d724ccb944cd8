//! MADT: CPUs and interrupt controllers (5.2.12).
//!
//! Linux numbers CPUs in the order of this table: first all entries of type 0, then those of type 9 (arch/x86/kernel/acpi/boot.c). APIC ids
//! grow with the numbers, so both orders are the same. It ignores entries of type 9 below 255 if there is one of type 0.

use super::power::SCI;
use super::{fields, table, X2APIC_FROM};
use acpi_tables::sdt::Sdt;
use ktstr_model::Topology;

const REVISION: u8 = 5;
const LOCAL_APIC: u32 = 0xfee0_0000;
/// KVM's interrupt controllers have a pair of 8259, too.
const PCAT_COMPAT: u32 = 1;
const IO_APIC: u32 = 0xfec0_0000;
const ENABLED: u32 = 1;
/// Flags of an interrupt (5.2.12.5): active high, by level.
const LEVEL_HIGH: u16 = 0b1101;
const SAME_AS_BUS: u16 = 0;
const NMI_PIN: u8 = 1;

pub(super) fn madt(topology: &Topology) -> Sdt {
    let ids: Vec<u32> = (0..topology.cpus()).map(|cpu| topology.apic_id(cpu)).collect();
    let mut body = fields(&[&LOCAL_APIC.to_le_bytes(), &PCAT_COMPAT.to_le_bytes()]);
    for (cpu, id) in (0..).zip(&ids) {
        body.extend(processor(cpu, *id));
    }
    body.extend(io_apic());
    body.extend(sci_override());
    body.extend(local_apic_nmi());
    if ids.iter().any(|id| *id >= X2APIC_FROM) {
        body.extend(local_x2apic_nmi());
    }
    table(*b"APIC", REVISION, &body)
}

/// Processor Local APIC (5.2.12.2) or Processor Local x2APIC (5.2.12.12).
fn processor(cpu: u32, id: u32) -> Vec<u8> {
    if id < X2APIC_FROM {
        fields(&[&[0, 8, cpu as u8, id as u8], &ENABLED.to_le_bytes()])
    } else {
        fields(&[&[9, 16, 0, 0], &id.to_le_bytes(), &ENABLED.to_le_bytes(), &cpu.to_le_bytes()])
    }
}

/// 5.2.12.3; its pins are interrupts from 0 on.
fn io_apic() -> Vec<u8> {
    fields(&[&[1, 12, 0, 0], &IO_APIC.to_le_bytes(), &0u32.to_le_bytes()])
}

/// Interrupt Source Override (5.2.12.5). Interrupts of the ISA bus come by edge: this one does not.
fn sci_override() -> Vec<u8> {
    fields(&[&[2, 10, 0, SCI], &u32::from(SCI).to_le_bytes(), &LEVEL_HIGH.to_le_bytes()])
}

/// Local APIC NMI (5.2.12.7), of all CPUs.
fn local_apic_nmi() -> Vec<u8> {
    fields(&[&[4, 6, u8::MAX], &SAME_AS_BUS.to_le_bytes(), &[NMI_PIN]])
}

/// Local x2APIC NMI (5.2.12.13), of all CPUs.
fn local_x2apic_nmi() -> Vec<u8> {
    fields(&[&[10, 12], &SAME_AS_BUS.to_le_bytes(), &u32::MAX.to_le_bytes(), &[NMI_PIN, 0, 0, 0]])
}
