//! The ELF kernel: that it can be booted through PVH, and its size without what is not loaded.
//!
//! PVH entry: `XEN_ELFNOTE_PHYS32_ENTRY` (arch/x86/platform/pvh/head.S, include/xen/interface/elfnote.h).

use super::kernel::KernelError;
use object::elf::{FileHeader64, EM_AARCH64, EM_X86_64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::Endianness;

const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

/// Checks the kernel and cuts off everything behind the last loaded segment: section headers, symbols, debug
/// information, relocations. BTF is loaded and stays.
pub(super) fn bootable(mut kernel: Vec<u8>) -> Result<Vec<u8>, KernelError> {
    let end = check(&kernel)?;
    kernel.truncate(end);
    // e_shoff, e_shnum and e_shstrndx of the ELF header: there are no sections any more.
    for (offset, length) in [(0x28, 8), (0x3c, 2), (0x3e, 2)] {
        if let Some(field) = kernel.get_mut(offset..offset + length) {
            field.fill(0);
        }
    }
    Ok(kernel)
}

/// End of the last loaded segment.
fn check(kernel: &[u8]) -> Result<usize, KernelError> {
    let malformed = |error: object::read::Error| KernelError::Malformed(error.to_string());
    let header = FileHeader64::<Endianness>::parse(kernel).map_err(malformed)?;
    let endian = header.endian().map_err(malformed)?;
    match header.e_machine(endian) {
        EM_X86_64 => {}
        EM_AARCH64 => return Err(KernelError::Architecture("arm64")),
        other => return Err(KernelError::Architecture(other_machine(other))),
    }
    let segments = header.program_headers(endian, kernel).map_err(malformed)?;
    let mut end = 0;
    let mut has_entry = false;
    for segment in segments {
        if segment.p_type(endian) == PT_LOAD {
            end = end.max(segment.p_offset(endian).saturating_add(segment.p_filesz(endian)));
        }
        let Ok(Some(mut notes)) = segment.notes(endian, kernel) else { continue };
        while let Ok(Some(note)) = notes.next() {
            has_entry |= note.n_type(endian) == XEN_ELFNOTE_PHYS32_ENTRY && note.name() == b"Xen";
        }
    }
    if end > kernel.len() as u64 {
        return Err(KernelError::Truncated { seen: kernel.len() as u64, expected: end });
    }
    if !has_entry {
        return Err(KernelError::NoEntry);
    }
    usize::try_from(end).map_err(|_| KernelError::Malformed("a segment ends beyond the address space".into()))
}

fn other_machine(machine: u16) -> &'static str {
    match machine {
        object::elf::EM_386 => "32-bit x86",
        object::elf::EM_RISCV => "RISC-V",
        object::elf::EM_PPC64 => "PowerPC",
        object::elf::EM_S390 => "s390",
        _ => "another architecture",
    }
}
