//! What a machine that starts from a save is given as a kernel.
//!
//! The saved machine was booted with `-kernel`, which adds parts (an option ROM) that have to be there again. The kernel itself is in
//! its memory already: loading it would cost 30 ms and 60 MB for each machine, so the emulator is given the smallest file
//! that it takes as one (QEMU 10.0, hw/i386/x86-common.c, `load_elfboot`).

use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::{self, Write};

const HEADER_BYTES: u32 = 52;
const PROGRAM_HEADER_BYTES: u16 = 32;
const PROGRAM_HEADERS: u16 = 2;
const EXECUTABLE: u16 = 2;
const I386: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const READ: u32 = 4;
/// `XEN_ELFNOTE_PHYS32_ENTRY` (xen/include/public/elfnote.h): what tells the emulator that this can be booted.
const PHYS32_ENTRY: u32 = 18;
/// Where it would be loaded.
const ADDRESS: u32 = 0x10_0000;

/// An open file with the stub.
pub(super) fn make() -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("stub", MemfdFlags::CLOEXEC)?);
    file.write_all(&image())?;
    Ok(file)
}

/// A header, a segment and a note, which is also what the segment holds.
fn image() -> Vec<u8> {
    let note = note();
    let note_at = HEADER_BYTES + u32::from(PROGRAM_HEADER_BYTES * PROGRAM_HEADERS);
    let bytes = note.len() as u32;
    let mut image = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    image.extend([EXECUTABLE, I386].into_iter().flat_map(u16::to_le_bytes));
    let (version, section_headers_at, flags) = (1, 0, 0);
    image.extend([version, ADDRESS, HEADER_BYTES, section_headers_at, flags].into_iter().flat_map(u32::to_le_bytes));
    let sections = [0; 3];
    image.extend([HEADER_BYTES as u16, PROGRAM_HEADER_BYTES, PROGRAM_HEADERS].into_iter().flat_map(u16::to_le_bytes));
    image.extend(sections.into_iter().flat_map(u16::to_le_bytes));
    for (kind, address) in [(PT_LOAD, ADDRESS), (PT_NOTE, 0)] {
        let alignment = 4;
        let words = [kind, note_at, address, address, bytes, bytes, READ, alignment];
        image.extend(words.into_iter().flat_map(u32::to_le_bytes));
    }
    image.extend(note);
    image
}

fn note() -> Vec<u8> {
    let name = b"Xen\0";
    let entry = ADDRESS.to_le_bytes();
    let head = [name.len() as u32, entry.len() as u32, PHYS32_ENTRY].into_iter().flat_map(u32::to_le_bytes);
    head.chain(*name).chain(entry).collect()
}
