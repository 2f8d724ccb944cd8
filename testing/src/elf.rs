//! Writes ELF images that a machine boots through their PVH entry: 32-bit protected mode, flat segments, paging and interrupts off
//! (Xen's x86/HVM direct boot ABI).

/// A stretch of the image and where it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Guest-physical address.
    pub address: u32,
    /// Its content.
    pub bytes: Vec<u8>,
}

const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const PAGE_BYTES: usize = 4096;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// Read, write and execute.
const FLAGS_RWX: u32 = 7;
/// `XEN_ELFNOTE_PHYS32_ENTRY` (xen/include/public/elfnote.h).
const PHYS32_ENTRY: u32 = 18;

/// A 64-bit ELF executable with `sections`, entered at `entry`: the container that kernels have, whatever the code in it is.
///
/// ```text
/// 0       header, program headers (one a section, one for the note), note
/// 0x1000  first section, each further one on a page of its own
/// ```
pub fn pvh_image(entry: u32, sections: &[Section]) -> Vec<u8> {
    let count = sections.len() + 1;
    let note_at = HEADER_BYTES + count * PROGRAM_HEADER_BYTES;
    let note = entry_note(entry);
    let mut image = header(entry, count as u16);
    let mut at = PAGE_BYTES;
    for section in sections {
        image.extend(program_header(PT_LOAD, at, section.address, section.bytes.len(), PAGE_BYTES));
        at = (at + section.bytes.len()).next_multiple_of(PAGE_BYTES);
    }
    image.extend(program_header(PT_NOTE, note_at, 0, note.len(), 4));
    image.extend(note);
    for section in sections {
        image.resize(image.len().next_multiple_of(PAGE_BYTES), 0);
        image.extend(&section.bytes);
    }
    image
}

fn header(entry: u32, program_headers: u16) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let (executable, x86_64, version, flags) = (2u16, 62u16, 1u32, 0u32);
    bytes.extend(executable.to_le_bytes());
    bytes.extend(x86_64.to_le_bytes());
    bytes.extend(version.to_le_bytes());
    let section_headers = 0;
    for word in [u64::from(entry), HEADER_BYTES as u64, section_headers] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(flags.to_le_bytes());
    for half in [HEADER_BYTES as u16, PROGRAM_HEADER_BYTES as u16, program_headers, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    bytes
}

fn program_header(kind: u32, offset: usize, address: u32, bytes: usize, align: usize) -> Vec<u8> {
    let (address, bytes) = (u64::from(address), bytes as u64);
    let words = [offset as u64, address, address, bytes, bytes, align as u64];
    let kind_and_flags = [kind, FLAGS_RWX].into_iter().flat_map(u32::to_le_bytes);
    kind_and_flags.chain(words.into_iter().flat_map(u64::to_le_bytes)).collect()
}

fn entry_note(entry: u32) -> Vec<u8> {
    let name = b"Xen\0";
    let sizes_and_type = [name.len() as u32, 4, PHYS32_ENTRY];
    let words = sizes_and_type.into_iter().flat_map(u32::to_le_bytes);
    words.chain(*name).chain(entry.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_begin_on_pages_and_the_note_names_the_entry() {
        let section = |address, bytes: &[u8]| Section { address, bytes: bytes.to_vec() };
        let image = pvh_image(0x10_0000, &[section(0x10_0000, b"code"), section(0x20_0000, b"data")]);
        assert_eq!(&image[0x1000..0x1004], b"code");
        assert_eq!(&image[0x2000..], b"data");
        let note_at = HEADER_BYTES + 3 * PROGRAM_HEADER_BYTES;
        assert_eq!(&image[note_at..note_at + 20], b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\0\0\x10\0");
        // The second program header: where the file has the section, and where it is loaded.
        let second = &image[HEADER_BYTES + PROGRAM_HEADER_BYTES..];
        assert_eq!(&second[8..24], b"\0\x20\0\0\0\0\0\0\0\0\x20\0\0\0\0\0");
    }
}
