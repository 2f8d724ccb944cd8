//! The ACPI tables of a machine: which CPUs, interrupt controllers and nodes it has, and how a guest turns it off.
//!
//! ```text
//! RSDP ─▶ XSDT ─┬▶ FADT ─▶ FACS, DSDT    how to turn off and reset; the serial port   power.rs
//!               ├▶ MADT                  CPUs in the kernel's order, interrupts       madt.rs
//!               └▶ SRAT, SLIT, HMAT      nodes, unless there is only one              numa.rs
//! ```
//!
//! Sections are those of the ACPI specification 6.5. The crate `acpi_tables` knows the tables whose content does not depend on x86; entries
//! of the others are written here byte by byte.

mod madt;
mod numa;
mod power;
#[cfg(test)]
mod tests;

use crate::Gpa;
use acpi_tables::{rsdp::Rsdp, sdt::Sdt, xsdt::XSDT, Aml};
use ktstr_model::Topology;

const OEM_ID: [u8; 6] = *b"KTSTR ";
const OEM_TABLE_ID: [u8; 8] = *b"KTSTRVMM";
const OEM_REVISION: u32 = 1;
/// Length of the header that most tables begin with (5.2.6).
const HEADER_BYTES: u32 = 36;
/// What the strictest of the tables wants: the FACS (5.2.10).
const ALIGNMENT: u64 = 64;
/// The first APIC id that fits no entry with 8 bits: 255 addresses all of them.
const X2APIC_FROM: u32 = 255;

/// The tables as they are to lie in guest memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcpiTables {
    /// Where the first of them is, the RSDP: the kernel is told.
    pub rsdp: Gpa,
    /// Where the bytes begin.
    pub start: Gpa,
    /// All tables.
    pub bytes: Vec<u8>,
}

/// A stretch of guest RAM within one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeMemory {
    /// Its first address.
    pub start: Gpa,
    /// Its length.
    pub bytes: u64,
    /// The node that it belongs to.
    pub node: u32,
}

/// The ACPI tables of a machine with this topology and RAM, for address `at`, which must be below 4 GiB.
pub fn tables(topology: &Topology, ram: &[NodeMemory], at: Gpa) -> AcpiTables {
    let mut image = Image { start: at.0, bytes: Vec::new() };
    let facs = image.put(&power::facs());
    let dsdt = image.put(&power::dsdt());
    let mut listed = vec![image.put(&power::fadt(facs, dsdt)), image.put(&madt::madt(topology))];
    if topology.numa_nodes() > 1 {
        let tables = [numa::srat(topology, ram), numa::slit(topology), numa::hmat(topology)];
        listed.extend(tables.iter().map(|table| image.put(table)));
    }
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    listed.into_iter().for_each(|table| xsdt.add_entry(table));
    let xsdt = image.put(&xsdt);
    let rsdp = Gpa(image.put(&Rsdp::new(OEM_ID, xsdt)));
    AcpiTables { rsdp, start: at, bytes: image.bytes }
}

/// Tables one after the other.
struct Image {
    start: u64,
    bytes: Vec<u8>,
}

impl Image {
    /// Appends a table and tells where it is.
    fn put(&mut self, table: &dyn Aml) -> u64 {
        let end = self.start + self.bytes.len() as u64;
        let at = end.next_multiple_of(ALIGNMENT);
        self.bytes.extend(std::iter::repeat_n(0, (at - end) as usize));
        table.to_aml_bytes(&mut self.bytes);
        at
    }
}

/// A table with the common header and this body.
fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Sdt {
    let mut table = Sdt::new(signature, HEADER_BYTES, revision, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(body);
    table
}

/// Fields in their order.
fn fields(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}
