//! Page tables of all formats as data, and the one walk through them.
//!
//! A walk reads one entry a level, so it ends on any content. x86_64: Intel SDM volume 3, "Paging"; aarch64: Arm ARM D8, the stage 1 formats
//! for 48 bits of virtual address.

use crate::segments::{word, Memory};
use ktstr_vmm::{Gpa, MemoryError};
use std::fmt;

/// A guest-virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gva(pub u64);

impl fmt::Display for Gva {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Gva {
    /// The address some bytes on. Pointers of a guest may be anything: it wraps.
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The address some bytes before.
    pub fn minus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

/// Some bits of an entry that have to have one value.
#[derive(Debug, PartialEq, Eq)]
struct Bits {
    mask: u64,
    value: u64,
}

impl Bits {
    fn fit(&self, entry: u64) -> bool {
        entry & self.mask == self.value
    }
}

/// How an architecture lays its page tables out.
#[derive(Debug, PartialEq, Eq)]
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// Lowest address bit that each level looks at, from the root on; the last one is the size of a page.
    shifts: &'static [u32],
    /// Bits of an index; the root of some formats uses fewer.
    index_bits: u32,
    /// Bits of a virtual address; those above have to be all equal.
    address_bits: u32,
    /// Whether the highest of those bits has to be equal to them, too.
    is_sign_extended: bool,
    /// An entry that leads somewhere.
    present: Bits,
    /// An entry above the last level that is a large page.
    large: Bits,
    /// The levels that may have one.
    large_shifts: &'static [u32],
    /// An entry of the last level that is a page.
    page: Bits,
    /// The address in an entry.
    address: u64,
}

const fn x86_64(name: &'static str, shifts: &'static [u32], address_bits: u32) -> Format {
    Format {
        name,
        shifts,
        index_bits: 9,
        address_bits,
        is_sign_extended: true,
        present: Bits { mask: 1, value: 1 },
        large: Bits { mask: 1 << 7, value: 1 << 7 },
        large_shifts: &[30, 21],
        page: Bits { mask: 1, value: 1 },
        address: 0x000f_ffff_ffff_f000,
    }
}

const fn aarch64(name: &'static str, shifts: &'static [u32], index_bits: u32, large_shifts: &'static [u32]) -> Format {
    Format {
        name,
        shifts,
        index_bits,
        address_bits: 48,
        is_sign_extended: false,
        present: Bits { mask: 1, value: 1 },
        large: Bits { mask: 0b11, value: 0b01 },
        large_shifts,
        page: Bits { mask: 0b11, value: 0b11 },
        address: 0x0000_ffff_ffff_f000,
    }
}

/// Four levels.
pub const X86_64_4_LEVELS: Format = x86_64("x86_64, 4 levels", &[39, 30, 21, 12], 48);
/// Five levels (`la57`).
pub const X86_64_5_LEVELS: Format = x86_64("x86_64, 5 levels", &[48, 39, 30, 21, 12], 57);
/// Pages of 4 KiB.
pub const AARCH64_4K: Format = aarch64("aarch64, 4 KiB", &[39, 30, 21, 12], 9, &[30, 21]);
/// Pages of 16 KiB.
pub const AARCH64_16K: Format = aarch64("aarch64, 16 KiB", &[47, 36, 25, 14], 11, &[25]);
/// Pages of 64 KiB.
pub const AARCH64_64K: Format = aarch64("aarch64, 64 KiB", &[42, 29, 16], 13, &[29]);

/// Where a virtual address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The physical address.
    pub at: Gpa,
    /// Bytes from there to the end of its page.
    pub left: u64,
}

impl Format {
    /// Where `address` is mapped by the table at `root`; `None`: it is not.
    ///
    /// # Errors
    /// A table is not in memory.
    pub fn translate(&self, memory: &dyn Memory, root: Gpa, address: Gva) -> Result<Option<Mapping>, MemoryError> {
        let sign = self.address_bits - u32::from(self.is_sign_extended);
        let above = address.0 as i64 >> sign;
        if above != 0 && above != -1 {
            return Ok(None);
        }
        let last = self.shifts.last().copied().unwrap_or_default();
        // What lies in the lowest bits of an address is no part of it where pages are larger than 4 KiB.
        let aligned = |entry: u64, shift: u32| entry & self.address & !((1 << shift) - 1);
        let mut table = root.0;
        for shift in self.shifts.iter().copied() {
            let bits = self.index_bits.min(self.address_bits - shift);
            let index = address.0 >> shift & ((1 << bits) - 1);
            let entry = word(memory, Gpa(table.wrapping_add(index * 8)))?;
            if !self.present.fit(entry) {
                return Ok(None);
            }
            let is_large = shift != last && self.large.fit(entry);
            if is_large || shift == last {
                let may_be = if is_large { self.large_shifts.contains(&shift) } else { self.page.fit(entry) };
                let within = address.0 & ((1 << shift) - 1);
                let mapping = Mapping { at: Gpa(aligned(entry, shift) | within), left: (1 << shift) - within };
                return Ok(may_be.then_some(mapping));
            }
            table = aligned(entry, last);
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Fake;
    use proptest::prelude::*;

    const FORMATS: [&Format; 5] = [&X86_64_4_LEVELS, &X86_64_5_LEVELS, &AARCH64_4K, &AARCH64_16K, &AARCH64_64K];
    const TABLE: u64 = 1 << 16;

    /// Tables of `format` that map the page of `address`, of the size of level `leaf`, to `to`; the root is at 0.
    fn tables(format: &Format, address: u64, leaf: usize, to: u64) -> Fake {
        let mut memory = Fake(vec![0; TABLE as usize * format.shifts.len()]);
        for (level, shift) in format.shifts.iter().copied().enumerate().take(leaf + 1) {
            let bits = format.index_bits.min(format.address_bits - shift);
            let index = address >> shift & ((1 << bits) - 1);
            let entry = match (level == leaf, level + 1 == format.shifts.len()) {
                (true, true) => to | format.page.value,
                (true, false) => to | format.large.value | format.present.value,
                // A table; on aarch64 with both low bits.
                (false, _) => {
                    (TABLE * (level as u64 + 1)) | format.present.value | (format.large.mask & !format.large.value & 2)
                }
            };
            memory.put(TABLE * level as u64 + index * 8, entry);
        }
        memory
    }

    #[test]
    fn each_page_size_of_each_format_is_translated() {
        for format in FORMATS {
            let address = 0xffff_ffff_8123_4567u64 & if format.is_sign_extended { u64::MAX } else { !(1 << 47) };
            let leaves = format.shifts.iter().enumerate();
            let leaves = leaves
                .filter(|(level, shift)| *level + 1 == format.shifts.len() || format.large_shifts.contains(shift));
            for (leaf, shift) in leaves {
                let to = 5 << shift;
                let memory = tables(format, address, leaf, to);
                let within = address & ((1 << shift) - 1);
                let expected = Mapping { at: Gpa(to + within), left: (1 << shift) - within };
                let name = format.name;
                let seen = format.translate(&memory, Gpa(0), Gva(address)).expect("is in memory");
                assert_eq!(seen, Some(expected), "{name}, {shift}");
                // The page behind it is not there, nor is an address beyond all.
                let next = (address | ((1 << shift) - 1)) + 1;
                assert_eq!(
                    format.translate(&memory, Gpa(0), Gva(next)).expect("is in memory"),
                    None,
                    "{name}, {shift}"
                );
                let beyond = address ^ 1 << 63;
                assert_eq!(format.translate(&memory, Gpa(0), Gva(beyond)).expect("is in memory"), None, "{name}");
            }
        }
    }

    #[test]
    fn a_large_page_where_none_may_be_is_no_mapping() {
        // Of 512 GiB, of 64 GiB and of 4 TiB; and an entry of the last level that is reserved.
        for format in [&X86_64_4_LEVELS, &AARCH64_16K, &AARCH64_64K] {
            let memory = tables(format, 0x1234_5000, 0, 0);
            assert_eq!(format.translate(&memory, Gpa(0), Gva(0x1234_5000)).expect("is in memory"), None);
        }
        let mut memory = tables(&AARCH64_4K, 0, 3, 0);
        memory.put(TABLE * 3, 1);
        assert_eq!(AARCH64_4K.translate(&memory, Gpa(0), Gva(0)).expect("is in memory"), None);
    }

    #[test]
    fn a_table_outside_of_memory_is_an_error() {
        let memory = tables(&X86_64_4_LEVELS, 0, 3, 0);
        assert!(X86_64_4_LEVELS.translate(&memory, Gpa(1 << 40), Gva(0)).is_err());
        assert!(X86_64_4_LEVELS.translate(&memory, Gpa(u64::MAX), Gva(0)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn hostile_tables_end(root in 0u64..0x3000, addresses in prop::collection::vec(any::<u64>(), 8), content in any::<[u64; 16]>()) {
            // Entries that lead back into the tables themselves are likely.
            let mut memory = Fake::default();
            for at in 0..0x800u64 {
                let entry = content[(at.wrapping_mul(31) % 16) as usize];
                memory.put(at * 8, if entry & 2 == 0 { entry & 0x3fff | 1 } else { entry });
            }
            for format in FORMATS {
                for address in &addresses {
                    if let Ok(Some(mapping)) = format.translate(&memory, Gpa(root), Gva(*address)) {
                        prop_assert!(mapping.left > 0 && mapping.left <= 1 << 42);
                        prop_assert_eq!(mapping.at.0 & 0xfff, address & 0xfff);
                    }
                }
            }
        }
    }
}
