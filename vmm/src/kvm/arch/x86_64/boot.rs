//! Lays into memory what a kernel finds at its entry.
//!
//! ```text
//! 0x500     segment table      0x6000   PVH start info, its modules, its memory map
//! 0x7000    zero page          0x9000   page tables of the first 4 GiB (64-bit entry only)
//! 0x20000   command line       0xe0000  ACPI tables
//! 0x100000  kernel             … initial RAM file system, at the end of low RAM
//! ```
//!
//! An ELF file with a PVH note is entered as Xen's x86/HVM direct boot ABI says (xen/include/public/arch-x86/hvm/start_info.h), a bzImage
//! at its 64-bit entry (Documentation/arch/x86/boot.rst).

use super::acpi::{self, NodeMemory};
use crate::memory_map::{low_bytes, ram_ranges, window_at, LEGACY_HOLE};
use crate::{Gpa, MachineSpec, StartError};
use ktstr_model::Topology;
use linux_loader::bootparam::{boot_e820_entry, boot_params};
use linux_loader::loader::bzimage::BzImage;
use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use linux_loader::loader::{KernelLoader, KernelLoaderResult};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, ReadVolatile};

const START_INFO: u64 = 0x6000;
const MODULES: u64 = 0x6100;
const MEMORY_MAP: u64 = 0x6200;
pub(super) const ZERO_PAGE: u64 = 0x7000;
const COMMAND_LINE: u64 = 0x2_0000;
/// Longer than any kernel takes (arch/x86/include/asm/setup.h, `COMMAND_LINE_SIZE`).
const COMMAND_LINE_MAX: usize = 0xffff;
const ACPI: u64 = 0xe_0000;
/// Where kernels are loaded: nothing of theirs lies below.
const HIGH_MEMORY: u64 = 0x10_0000;
const PAGE: u64 = 4096;
/// Offset of the 64-bit entry from the beginning of the loaded kernel.
const ENTRY_64: u64 = 0x200;

/// Where and how the first CPU enters the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// 32-bit protected mode, RBX points to the start info.
    Pvh { at: u64, start_info: u64 },
    /// Long mode, RSI points to the zero page.
    Linux64 { at: u64, zero_page: u64 },
}

/// Stretches of the memory map as the kernel is told them, with their e820 types.
const RAM: u32 = 1;
const RESERVED: u32 = 2;

/// Lays everything that `spec` boots.
pub(super) fn load(memory: &GuestMemoryMmap, spec: &MachineSpec) -> Result<Entry, StartError> {
    let mut file = File::open(&spec.kernel).map_err(unusable("kernel", &spec.kernel))?;
    let kernel = load_kernel(memory, &mut file).map_err(unusable("kernel", &spec.kernel))?;
    let initramfs = match &spec.initramfs {
        Some(path) => {
            Some(load_initramfs(memory, path, &spec.topology, kernel.kernel_end).map_err(unusable("initramfs", path))?)
        }
        None => None,
    };
    lay(memory, spec, &kernel, initramfs)
        .map_err(|source| StartError::Host { doing: "lay the boot parameters into guest memory", source })
}

fn unusable<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StartError + 'a {
    move |source| StartError::File { what, path: path.into(), source }
}

fn load_kernel<F: Read + ReadVolatile + Seek>(
    memory: &GuestMemoryMmap,
    file: &mut F,
) -> io::Result<KernelLoaderResult> {
    let mut magic = [0; 4];
    file.read_exact(&mut magic)?;
    let high = Some(GuestAddress(HIGH_MEMORY));
    let loaded = if &magic == b"\x7fELF" {
        Elf::load(memory, None, file, high)
    } else {
        BzImage::load(memory, None, file, high)
    };
    loaded.map_err(io::Error::other)
}

/// At the end of low RAM; gives address and bytes.
fn load_initramfs(
    memory: &GuestMemoryMmap,
    path: &Path,
    topology: &Topology,
    kernel_end: u64,
) -> io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let low = low_bytes(topology.memory().0 << 20);
    let at = low.checked_sub(bytes).map(|at| at - at % PAGE).filter(|at| *at >= kernel_end);
    let at = at.ok_or_else(|| io::Error::other(format!("its {bytes} bytes do not fit beside the kernel")))?;
    let length = usize::try_from(bytes).map_err(io::Error::other)?;
    memory.read_exact_volatile_from(GuestAddress(at), &mut file, length).map_err(io::Error::other)?;
    Ok((at, bytes))
}

fn lay(
    memory: &GuestMemoryMmap,
    spec: &MachineSpec,
    kernel: &KernelLoaderResult,
    initramfs: Option<(u64, u64)>,
) -> io::Result<Entry> {
    let line = spec.command_line.as_bytes();
    if line.len() > COMMAND_LINE_MAX || line.contains(&0) {
        return Err(io::Error::other(format!("a command line of {} bytes, or with a zero in it", line.len())));
    }
    write(memory, COMMAND_LINE, &[line, b"\0"].concat())?;
    let tables = acpi::tables(&spec.topology, &nodes(&spec.topology), Gpa(ACPI));
    if tables.bytes.len() as u64 > HIGH_MEMORY - ACPI {
        return Err(io::Error::other("the ACPI tables of so many CPUs do not fit"));
    }
    write(memory, tables.start.0, &tables.bytes)?;
    let map = memory_map(memory, &spec.topology);
    match (kernel.setup_header, kernel.pvh_boot_cap) {
        (Some(header), _) => {
            let mut zero_page = boot_params { hdr: header, ..Default::default() };
            // No boot loader has a number; Linux only prints it.
            zero_page.hdr.type_of_loader = 0xff;
            zero_page.hdr.cmd_line_ptr = COMMAND_LINE as u32;
            zero_page.hdr.cmdline_size = line.len() as u32;
            let (image, size) = initramfs.unwrap_or_default();
            (zero_page.hdr.ramdisk_image, zero_page.hdr.ramdisk_size) = (image as u32, size as u32);
            zero_page.acpi_rsdp_addr = tables.rsdp.0;
            for (entry, (addr, size, type_)) in zero_page.e820_table.iter_mut().zip(&map) {
                *entry = boot_e820_entry { addr: *addr, size: *size, r#type: *type_ };
            }
            zero_page.e820_entries = map.len() as u8;
            memory.write_obj(zero_page, GuestAddress(ZERO_PAGE)).map_err(io::Error::other)?;
            Ok(Entry::Linux64 { at: kernel.kernel_load.0 + ENTRY_64, zero_page: ZERO_PAGE })
        }
        (None, PvhBootCapability::PvhEntryPresent(at)) => {
            write_start_info(memory, tables.rsdp, &map, initramfs)?;
            Ok(Entry::Pvh { at: at.0, start_info: START_INFO })
        }
        (None, _) => Err(io::Error::other("the kernel is an ELF file without a PVH entry (CONFIG_PVH)")),
    }
}

fn write_start_info(
    memory: &GuestMemoryMmap,
    rsdp: Gpa,
    map: &[(u64, u64, u32)],
    initramfs: Option<(u64, u64)>,
) -> io::Result<()> {
    for (index, (addr, size, type_)) in map.iter().enumerate() {
        let entry = hvm_memmap_table_entry { addr: *addr, size: *size, type_: *type_, reserved: 0 };
        let at = MEMORY_MAP + (index * size_of::<hvm_memmap_table_entry>()) as u64;
        memory.write_obj(entry, GuestAddress(at)).map_err(io::Error::other)?;
    }
    if let Some((paddr, size)) = initramfs {
        let module = hvm_modlist_entry { paddr, size, ..Default::default() };
        memory.write_obj(module, GuestAddress(MODULES)).map_err(io::Error::other)?;
    }
    let info = hvm_start_info {
        magic: 0x336e_c578,
        version: 1,
        nr_modules: initramfs.iter().count() as u32,
        modlist_paddr: MODULES,
        cmdline_paddr: COMMAND_LINE,
        rsdp_paddr: rsdp.0,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: map.len() as u32,
        ..Default::default()
    };
    memory.write_obj(info, GuestAddress(START_INFO)).map_err(io::Error::other)
}

fn write(memory: &GuestMemoryMmap, at: u64, bytes: &[u8]) -> io::Result<()> {
    memory.write_slice(bytes, GuestAddress(at)).map_err(io::Error::other)
}

fn nodes(topology: &Topology) -> Vec<NodeMemory> {
    let ranges = ram_ranges(topology).into_iter();
    ranges.map(|range| NodeMemory { start: range.start, bytes: range.bytes, node: range.node as u32 }).collect()
}

/// Start, bytes and type of each stretch, adjacent RAM in one; the window is nobody's.
fn memory_map(memory: &GuestMemoryMmap, topology: &Topology) -> Vec<(u64, u64, u32)> {
    let mut map: Vec<(u64, u64, u32)> = Vec::new();
    for range in ram_ranges(topology) {
        match map.last_mut() {
            Some((start, bytes, _)) if *start + *bytes == range.start.0 => *bytes += range.bytes,
            _ => map.push((range.start.0, range.bytes, RAM)),
        }
    }
    map.push((LEGACY_HOLE.start, LEGACY_HOLE.end - LEGACY_HOLE.start, RESERVED));
    map.extend(window(memory, topology).map(|(at, bytes)| (at, bytes, RESERVED)));
    map.sort_unstable();
    map
}

/// Start and bytes of the window, if one is mapped.
fn window(memory: &GuestMemoryMmap, topology: &Topology) -> Option<(u64, u64)> {
    let at = GuestAddress(window_at(topology).0);
    memory.iter().find(|region| region.start_addr() == at).map(|region| (at.0, region.len()))
}
