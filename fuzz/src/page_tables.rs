//! Page tables of every format, in memory of which each word may be anything.

use crate::input::Input;
use ktstr_monitor::{Format, Gva, Memory, AARCH64_16K, AARCH64_4K, AARCH64_64K, X86_64_4_LEVELS, X86_64_5_LEVELS};
use ktstr_vmm::{Gpa, MemoryError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const FORMATS: [&Format; 5] = [&X86_64_4_LEVELS, &X86_64_5_LEVELS, &AARCH64_4K, &AARCH64_16K, &AARCH64_64K];
/// Of the memory; behind it there is none.
const BYTES: u64 = 1 << 20;
/// The largest page of any format, and the least bits of an address that none changes.
const PAGE_BYTES_MAX: u64 = 1 << 30;
const PAGE_BYTES_MIN: u64 = 1 << 12;
/// No format has more levels.
const LEVELS_MAX: usize = 5;

/// Zeros, but for these words; counts its reads.
struct Words {
    words: BTreeMap<u64, u64>,
    reads: AtomicUsize,
}

impl Memory for Words {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        self.reads.fetch_add(1, Relaxed);
        if at.0 >= BYTES || !at.0.is_multiple_of(8) || into.len() != 8 {
            return Err(MemoryError::Hole { start: at, bytes: into.len(), at });
        }
        into.copy_from_slice(&self.words.get(&at.0).copied().unwrap_or_default().to_le_bytes());
        Ok(())
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        vec![(Gpa(0), BYTES)]
    }
}

/// The page of the root, four addresses, then words: where (in units of a word) and what.
///
/// # Panics
/// If a walk reads more than one word a level, or two addresses of one page are not in one page.
pub fn page_tables(input: &[u8]) {
    let mut input = Input(input);
    let root = Gpa(u64::from(input.u8()) * PAGE_BYTES_MIN);
    let addresses = [input.u64(), input.u64(), input.u64(), input.u64()];
    let mut memory = Words { words: BTreeMap::new(), reads: AtomicUsize::new(0) };
    while !input.is_empty() {
        let at = u64::from(input.u16()) * 8;
        memory.words.insert(at, input.u64());
    }
    let translate = |format: &Format, address: u64| {
        memory.reads.store(0, Relaxed);
        let seen = format.translate(&memory, root, Gva(address));
        let reads = memory.reads.load(Relaxed);
        assert!(reads <= LEVELS_MAX, "{reads} reads of {}", format.name);
        seen.ok().flatten()
    };
    for format in FORMATS {
        for address in addresses {
            let Some(mapping) = translate(format, address) else { continue };
            let left = mapping.left;
            assert!(left > 0 && left <= PAGE_BYTES_MAX, "{left} bytes left at {address:#x}, {}", format.name);
            assert_eq!(mapping.at.0 % PAGE_BYTES_MIN, address % PAGE_BYTES_MIN, "{}", format.name);
            let last = translate(format, address.wrapping_add(left - 1)).expect("is the same page");
            assert_eq!((last.at.0 - mapping.at.0, last.left), (left - 1, 1), "{address:#x}, {}", format.name);
        }
    }
}
