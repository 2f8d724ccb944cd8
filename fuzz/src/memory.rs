//! Reads of guest memory at any address, of any length.

use crate::input::{memory_file, Input};
use ktstr_vmm::kvm::fuzzing;
use ktstr_vmm::Gpa;
use std::os::unix::fs::FileExt;

/// Bytes of the file behind all segments.
const FILE_BYTES: u64 = 4096;
/// Start and bytes: RAM below a hole, adjacent pieces in another order, the last bytes that an address can name, and one that is longer
/// than its file.
const SEGMENTS: [(u64, u64, u64); 5] = [
    (0, 512, 1024),
    (0x1_0000, 256, 512),
    (0x1_0100, 256, 0),
    (u64::MAX - 255, 255, 0),
    (0x2_0000, 1024, FILE_BYTES - 512),
];

/// Reads, each of where it begins (at a segment and some bytes, or anywhere) and of how many bytes.
///
/// # Panics
/// If a read gives something else than what lies there.
pub fn memory(input: &[u8]) {
    let mut input = Input(input);
    let (file, _) = memory_file();
    let content: Vec<u8> = (0..FILE_BYTES).map(|at| (at % 251) as u8).collect();
    file.write_all_at(&content, 0).expect("writes");
    let memory = fuzzing::memory(file, &SEGMENTS);
    while !input.is_empty() {
        let segment = usize::from(input.u8());
        let start = match SEGMENTS.get(segment) {
            Some((start, ..)) => start.wrapping_add(u64::from(input.u16())).wrapping_sub(16),
            None => input.u64(),
        };
        let mut bytes = vec![0; usize::from(input.u16() % 2048)];
        let whole = memory.read(Gpa(start), &mut bytes);
        let there = |at: u64| {
            SEGMENTS.iter().find_map(|(from, bytes, offset)| {
                at.checked_sub(*from)
                    .filter(|within| within < bytes)
                    .and_then(|within| content.get((offset + within) as usize))
            })
        };
        let expected: Option<Vec<u8>> =
            (0..bytes.len() as u64).map(|more| start.checked_add(more).and_then(there).copied()).collect();
        assert_eq!(whole.ok().map(|()| bytes), expected, "at {start:#x}");
        let _ = memory.read_u64(Gpa(start));
    }
}
