//! The first CPU at a kernel's entry. The others wait for it, as the hardware's do.

use super::boot::Entry;
use crate::kvm::host::refused;
use crate::StartError;
use kvm_bindings::{kvm_msr_entry, kvm_segment, Msrs};
use kvm_ioctls::VcpuFd;
use std::io;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const SEGMENT_TABLE: u64 = 0x500;
/// Selectors that the 64-bit boot protocol wants (`__BOOT_CS`, `__BOOT_DS`); PVH wants flat segments, wherever.
const CODE_SELECTOR: u16 = 0x10;
const DATA_SELECTOR: u16 = 0x18;
const TASK_SELECTOR: u16 = 0x20;
const PAGE_TABLES: u64 = 0x9000;
/// Control register bits (Intel SDM vol. 3A, 2.5) and EFER's (2.2.1).
const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const RFLAGS_RESERVED: u64 = 1 << 1;
/// Memory types: on, write-back where nothing else is said. Without it `/dev/mem` would map the window uncached.
const MSR_MTRR_DEF_TYPE: u32 = 0x2ff;
const MTRR_ENABLED_WRITE_BACK: u64 = 1 << 11 | 6;
const MSR_MISC_ENABLE: u32 = 0x1a0;
const MISC_FAST_STRINGS: u64 = 1;

/// Sets the registers of `first` for `entry`.
pub(super) fn enter(first: &VcpuFd, memory: &GuestMemoryMmap, entry: &Entry) -> Result<(), StartError> {
    let long = matches!(entry, Entry::Linux64 { .. });
    write_tables(memory, long).map_err(|source| StartError::Host { doing: "lay the first segment table", source })?;
    let doing = "set the registers of the first CPU";
    let mut special = first.get_sregs().map_err(refused(doing))?;
    let code = segment(CODE_SELECTOR, 0xb, long);
    let data = segment(DATA_SELECTOR, 0x3, false);
    special.cs = code;
    (special.ds, special.es, special.fs, special.gs, special.ss) = (data, data, data, data, data);
    special.tr = kvm_segment { limit: 0x67, selector: TASK_SELECTOR, type_: 0xb, present: 1, ..Default::default() };
    (special.gdt.base, special.gdt.limit) = (SEGMENT_TABLE, 5 * 8 - 1);
    (special.idt.base, special.idt.limit) = (0, 0);
    special.cr0 = CR0_PE | CR0_ET;
    if long {
        special.cr0 |= CR0_PG;
        special.cr3 = PAGE_TABLES;
        special.cr4 = CR4_PAE;
        special.efer = EFER_LME | EFER_LMA;
    }
    first.set_sregs(&special).map_err(refused(doing))?;
    let mut plain = first.get_regs().map_err(refused(doing))?;
    plain.rflags = RFLAGS_RESERVED;
    match *entry {
        Entry::Pvh { at, start_info } => (plain.rip, plain.rbx) = (at, start_info),
        Entry::Linux64 { at, zero_page } => (plain.rip, plain.rsi) = (at, zero_page),
    }
    first.set_regs(&plain).map_err(refused(doing))?;
    set_memory_types(first)
}

fn set_memory_types(first: &VcpuFd) -> Result<(), StartError> {
    let entry = |index, data| kvm_msr_entry { index, data, ..Default::default() };
    let entries = [entry(MSR_MTRR_DEF_TYPE, MTRR_ENABLED_WRITE_BACK), entry(MSR_MISC_ENABLE, MISC_FAST_STRINGS)];
    let doing = "set the memory types of the first CPU";
    let refuse = |source| StartError::Host { doing, source };
    let msrs = Msrs::from_entries(&entries).map_err(|_| refuse(io::Error::other("too many registers")))?;
    match first.set_msrs(&msrs).map_err(refused(doing))? {
        2 => Ok(()),
        done => Err(refuse(io::Error::other(format!("KVM took {done} of 2 registers")))),
    }
}

/// A flat segment of 4 GiB.
fn segment(selector: u16, type_: u8, long: bool) -> kvm_segment {
    let (l, db) = (u8::from(long), u8::from(!long));
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: 0,
        db,
        s: 1,
        l,
        g: 1,
        ..Default::default()
    }
}

/// The segments as a table, for a kernel that loads one again, and page tables that map the first 4 GiB to themselves.
fn write_tables(memory: &GuestMemoryMmap, long: bool) -> io::Result<()> {
    let code = if long { 0x00af_9b00_0000_ffffu64 } else { 0x00cf_9b00_0000_ffff };
    let segments = [0, 0, code, 0x00cf_9300_0000_ffff, 0x0000_8b00_0000_0067];
    let mut words: Vec<(u64, u64)> = words_at(SEGMENT_TABLE, segments).collect();
    if long {
        let (present, large) = (0b11, 1 << 7);
        let directory = |index: u64| PAGE_TABLES + (2 + index) * 4096;
        words.extend(words_at(PAGE_TABLES, [(PAGE_TABLES + 4096) | present]));
        words.extend(words_at(PAGE_TABLES + 4096, [0, 1, 2, 3].map(|index| directory(index) | present)));
        words.extend(words_at(directory(0), (0..4 * 512).map(|page| page << 21 | present | large)));
    }
    words.into_iter().try_for_each(|(at, word)| memory.write_obj(word, GuestAddress(at)).map_err(io::Error::other))
}

fn words_at(at: u64, words: impl IntoIterator<Item = u64>) -> impl Iterator<Item = (u64, u64)> {
    words.into_iter().enumerate().map(move |(index, word)| (at + 8 * index as u64, word))
}
