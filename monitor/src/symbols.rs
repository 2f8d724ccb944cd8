//! Symbols of a kernel from its own tables (kernel/kallsyms.c), taken out of its image without any symbol that says where they are.
//!
//! scripts/kallsyms.c writes them one after the other, since 6.5 (404bad70fcf7, "scripts/kallsyms: change the output order"):
//!
//! ```text
//! num_syms      u32
//! names         for each symbol in the order of addresses: length (ULEB128), tokens; they expand to a letter for the kind and the name
//! markers       u32 for each 256th symbol: where it is in names
//! token_table   256 texts; those of digits and letters are themselves
//! token_index   256 u16: where each text is
//! offsets       i32 a symbol; from 7.0 seen from where they stand themselves, before from a base
//! relative_base u64, until 6.19
//! seqs_of_names 3 bytes a symbol, big endian: the symbols in the order of their names
//! ```
//!
//! The texts of the ten digits are the anchor; each table is checked against its neighbours. Lookups are searches in the tables as they
//! are, so that opening costs one pass over the image.

use std::cmp::Ordering;
use std::ops::Range;

const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0";
const SYMBOLS_MAX: usize = 1 << 20;
/// Symbols between two markers.
const GROUP: usize = 256;
/// Tokens of one name (KSYM_NAME_LEN is 512).
const TOKENS_MAX: usize = 512;

/// A symbol's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// Where the linker put it: it moves with the image.
    Linked(u64),
    /// An offset into per-CPU areas, which does not move: x86 until 6.14.
    Absolute(u64),
}

/// The tables of one kernel.
#[derive(Debug)]
pub struct Symbols {
    bytes: Vec<u8>,
    count: usize,
    /// Where each name is.
    names: Vec<u32>,
    tokens: [Range<usize>; 256],
    offsets: usize,
    seqs: usize,
    meaning: Meaning,
}

/// What the offsets count from.
#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// Each from itself; the first one is at this address.
    Place(u64),
    /// All from this base.
    Base(u64),
    /// Negative ones from this base, others are absolute.
    BaseOrAbsolute(u64),
}

impl Symbols {
    /// Where a part of an image has the tokens; that is a small part of the tables.
    pub(crate) fn tokens_in(image: &[u8]) -> Option<usize> {
        memchr::memmem::find_iter(image, DIGITS).find(|digits| token_table(image, *digits).is_some())
    }

    /// Finds the tables in the part of an image that is linked at `linked_at`, and keeps it.
    pub fn find_in(image: Vec<u8>, linked_at: u64) -> Option<Self> {
        let mut found =
            memchr::memmem::find_iter(&image, DIGITS).find_map(|digits| Self::around(&image, linked_at, digits))?;
        found.bytes = image;
        found.is_sorted().then_some(found)
    }

    /// The tables around the digits; without the bytes that they are in.
    fn around(image: &[u8], linked_at: u64, digits: usize) -> Option<Self> {
        let (table, index_at, tokens) = token_table(image, digits)?;
        let (markers, marked) = markers_before(image, table)?;
        let names = names_before(image, markers, &marked)?;
        let count = names.len();
        let offsets = index_at + 512;
        let behind = offsets + 4 * count;
        let base = word64(image, behind.next_multiple_of(8)).filter(|base| base >> 32 == 0xffff_ffff);
        let (meaning, seqs) = match base {
            None => (Meaning::Place(linked_at.wrapping_add(offsets as u64)), behind),
            Some(base) => {
                let is_negative =
                    |index: usize| word32(image, offsets + 4 * index).is_some_and(|word| (word as i32) < 0);
                let of_base = if (0..count).any(is_negative) { Meaning::BaseOrAbsolute } else { Meaning::Base };
                (of_base(base), behind.next_multiple_of(8) + 8)
            }
        };
        image.get(seqs..seqs + 3 * count)?;
        Some(Self { bytes: Vec::new(), count, names, tokens, offsets, seqs, meaning })
    }

    /// Whether the last table is what it should be: looks at some neighbours.
    fn is_sorted(&self) -> bool {
        let name = |index| self.by_name(index).and_then(|symbol| self.name(symbol));
        (1..self.count).step_by((self.count / 64).max(1)).all(|index| {
            let (before, after) = (name(index - 1), name(index));
            before.is_some() && before <= after
        })
    }

    /// Number of symbols.
    pub fn count(&self) -> usize {
        self.count
    }

    /// All names, for a message.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.count).filter_map(|index| self.name(index)).collect()
    }

    /// Value of the symbol `name`; of equal names (static functions) the one with the lowest address.
    pub fn find(&self, name: &str) -> Option<Address> {
        let found = partition(self.count, |index| {
            let order = self.by_name(index).and_then(|symbol| self.name(symbol)).map(|seen| seen.as_str().cmp(name));
            order == Some(Ordering::Less)
        });
        let symbol = self.by_name(found)?;
        (self.name(symbol)? == name).then(|| self.address(symbol)).flatten()
    }

    /// The symbol that `linked` lies in or behind, and how far.
    pub fn around_address(&self, linked: u64) -> Option<(String, u64)> {
        let value = |index| match self.address(index) {
            Some(Address::Linked(value)) => value,
            _ => 0,
        };
        let index = partition(self.count, |index| value(index) <= linked).checked_sub(1)?;
        let start = value(index);
        Some((self.name(index)?, linked.checked_sub(start).filter(|_| start != 0)?))
    }

    fn by_name(&self, index: usize) -> Option<usize> {
        let place = self.bytes.get(self.seqs + 3 * index..)?.first_chunk::<3>()?;
        Some(place.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
    }

    fn address(&self, index: usize) -> Option<Address> {
        let at = self.offsets + 4 * index;
        let offset = word32(&self.bytes, at).filter(|_| index < self.count)?;
        let signed = i64::from(offset as i32);
        Some(match self.meaning {
            Meaning::Place(first) => Address::Linked(first.wrapping_add(4 * index as u64).wrapping_add_signed(signed)),
            Meaning::Base(base) => Address::Linked(base.wrapping_add(u64::from(offset))),
            Meaning::BaseOrAbsolute(_) if signed >= 0 => Address::Absolute(signed as u64),
            Meaning::BaseOrAbsolute(base) => Address::Linked(base.wrapping_add_signed(-1 - signed)),
        })
    }

    /// Name of symbol `index`, without the letter for its kind.
    fn name(&self, index: usize) -> Option<String> {
        let at = *self.names.get(index)? as usize;
        let tokens = self.bytes.get(next_name(&self.bytes, at)?)?;
        let mut text = Vec::new();
        for token in tokens {
            text.extend_from_slice(self.bytes.get(self.tokens.get(usize::from(*token))?.clone())?);
        }
        text.drain(..text.len().min(1));
        String::from_utf8(text).ok()
    }
}

/// How many of `0..count` come before the first one for which `is_before` is false.
fn partition(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Where the table of tokens begins and where the index behind it does, and the text of each token; `digits` is where the texts of the
/// ten digits are.
fn token_table(image: &[u8], digits: usize) -> Option<(usize, usize, [Range<usize>; 256])> {
    let text_end = |at: usize| Some(at + image.get(at..at + TOKENS_MAX)?.iter().position(|byte| *byte == 0)?);
    let mut end = digits;
    for _ in usize::from(b'0')..256 {
        end = text_end(end)? + 1;
    }
    [4, 8].into_iter().find_map(|align| {
        let index_at = end.next_multiple_of(align);
        let index =
            |token: usize| Some(usize::from(u16::from_le_bytes(*image.get(index_at + 2 * token..)?.first_chunk()?)));
        let table = digits.checked_sub(index(usize::from(b'0'))?)?;
        let mut tokens = [const { 0..0 }; 256];
        let mut at = table;
        for (token, range) in tokens.iter_mut().enumerate() {
            if table + index(token)? != at {
                return None;
            }
            *range = at..text_end(at)?;
            at = range.end + 1;
        }
        (at == end).then_some((table, index_at, tokens))
    })
}

/// The markers, which end before `end`: 0 and ascending.
fn markers_before(image: &[u8], end: usize) -> Option<(usize, Vec<u32>)> {
    let mut at = end.checked_sub(4)?;
    // Padding. A kernel with so few symbols that its only marker is 0 is none.
    if word32(image, at)? == 0 {
        at = at.checked_sub(4)?;
    }
    let mut marked = vec![word32(image, at)?];
    while marked.last() != Some(&0) && marked.len() <= SYMBOLS_MAX / GROUP {
        at = at.checked_sub(4)?;
        let before = word32(image, at).filter(|before| Some(before) < marked.last())?;
        marked.push(before);
    }
    marked.reverse();
    Some((at, marked))
}

/// Where each of the names is that end before `end` and that `marked` fits to.
fn names_before(image: &[u8], end: usize, marked: &[u32]) -> Option<Vec<u32>> {
    let counts = (marked.len() - 1) * GROUP + 1..=marked.len() * GROUP;
    let last = *marked.last()? as usize;
    let newest = end.checked_sub(last)? & !3;
    let oldest = newest.saturating_sub(GROUP * TOKENS_MAX);
    let fits = |names: usize, count: usize| {
        let (mut at, mut starts) = (names, Vec::new());
        for index in 0..count {
            if index % GROUP == 0 && marked.get(index / GROUP).is_none_or(|marker| names + *marker as usize != at) {
                return None;
            }
            starts.push(at as u32);
            at = next_name(image, at).filter(|name| name.end <= end)?.end;
        }
        (end - at < 8).then_some(starts)
    };
    (oldest..=newest).rev().step_by(4).find_map(|names| {
        // Tables are aligned to 4 bytes from 7.0 on, to 8 before.
        [4, 8].into_iter().find_map(|before| {
            let count = word32(image, names.checked_sub(before)?)? as usize;
            counts.contains(&count).then(|| fits(names, count)).flatten()
        })
    })
}

/// The tokens of the name at `at`; the next name follows.
fn next_name(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let low = usize::from(*bytes.get(at)?);
    if low & 0x80 == 0 {
        return Some(at + 1..at + 1 + low);
    }
    let length = usize::from(*bytes.get(at + 1)?) << 7 | (low & 0x7f);
    Some(at + 2..at + 2 + length)
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{tables, Layout, LINKED_AT};
    use proptest::prelude::*;

    /// Tables somewhere in an image; what comes before looks like the anchor, but is none.
    fn image(layout: Layout, count: usize) -> (Vec<u8>, Vec<(String, u64)>) {
        let name = |index: usize| match index {
            7 => "init_task".to_owned(),
            8 => "x".repeat(200),
            _ => format!("symbol_{}", index * 7919 % 10007),
        };
        let mut named: Vec<_> = (0..count).map(|index| (name(index), LINKED_AT + 0x1000 + 16 * index as u64)).collect();
        if layout == Layout::Absolute {
            named[0].1 = 0x35e80;
        }
        let mut image = [DIGITS, &[1; 76]].concat();
        image.extend(tables(layout, &named, LINKED_AT + image.len() as u64));
        image.extend([0xff; 9]);
        (image, named)
    }

    #[test]
    fn tables_are_found_and_read_in_each_layout() {
        for layout in [Layout::Place, Layout::Base, Layout::Absolute] {
            for count in [257, 512, 513, 1000] {
                let (image, named) = image(layout, count);
                let found = Symbols::find_in(image, LINKED_AT).unwrap_or_else(|| panic!("{layout:?} {count}"));
                assert_eq!(found.count(), count);
                for (name, address) in &named {
                    let expected = match address {
                        ..LINKED_AT => Address::Absolute(*address),
                        _ => Address::Linked(*address),
                    };
                    assert_eq!(found.find(name), Some(expected), "{layout:?} {name}");
                }
                assert_eq!((found.find("init"), found.find("zzz")), (None, None));
                assert_eq!(found.around_address(named[7].1 + 5), Some(("init_task".into(), 5)));
                assert_eq!(found.around_address(LINKED_AT), None);
            }
        }
    }

    #[test]
    fn what_has_no_tables_has_no_symbols() {
        assert!(Symbols::find_in(Vec::new(), 0).is_none());
        assert!(Symbols::find_in(DIGITS.repeat(1000), 0).is_none());
        let (mut image, _) = image(Layout::Base, 300);
        image.truncate(image.len() - 20);
        assert!(Symbols::find_in(image, LINKED_AT).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damage_does_no_harm(changes in prop::collection::vec((0usize..14_000, any::<u8>()), 1..20)) {
            let (mut image, named) = image(Layout::Place, 600);
            for (at, byte) in changes {
                if let Some(place) = image.get_mut(at) {
                    *place = byte;
                }
            }
            if let Some(found) = Symbols::find_in(image, LINKED_AT) {
                for (name, address) in named {
                    let _ = (found.find(&name), found.around_address(address));
                }
            }
        }
    }
}
