//! Symbols of one module: `struct mod_kallsyms ──Tables::read──▶ Symbols`.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{text, Layout, Slot, Span};
use crate::page_table::Gva;
use std::ops::Range;

/// KSYM_NAME_LEN.
const NAME_BYTES_MAX: u64 = 512;
const PAGE: u64 = 4096;
/// `Elf64_Sym` (include/uapi/linux/elf.h).
const SYMBOL_BYTES: u64 = 24;

/// Where everything is in a `struct mod_kallsyms`.
#[derive(Debug)]
pub(super) struct Tables {
    numbers: [Slot; 3],
    span: Span,
}

/// What a module has itself, by name and address.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// Values, in their order, and where the names are. Of equal values the last one here is the first of the kernel's table: the one that it takes.
    of: Vec<(u64, u64)>,
    names: Vec<u8>,
}

impl Tables {
    pub(super) fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut tables = Layout::new(kernel.btf(), "mod_kallsyms");
        Ok(Self { numbers: tables.fields(["symtab", "num_symtab", "strtab"])?, span: tables.span() })
    }

    /// All symbols, if they have no more bytes than are left.
    pub(super) fn read(&self, kernel: &Kernel, at: Gva, left: &mut u64) -> Result<Symbols, ReadError> {
        let [table_at, count, names_at] = self.span.read(kernel, at)?.numbers(&self.numbers);
        let mut take = |what, seen| {
            let most = *left;
            *left = most.checked_sub(seen).ok_or(ReadError::Absurd { what, seen, most })?;
            Ok::<_, ReadError>(seen)
        };
        let bytes = take("bytes of mod_kallsyms.symtab", count.saturating_mul(SYMBOL_BYTES))?;
        let mut table = vec![0; bytes as usize];
        kernel.read(Gva(table_at), &mut table)?;
        let mut of: Vec<_> = table.rchunks_exact(SYMBOL_BYTES as usize).filter_map(symbol).collect();
        // Nothing says how long the names are together: the last one is followed by anything, or by a hole.
        let end = of.iter().map(|(_, name)| name + NAME_BYTES_MAX).max().unwrap_or_default();
        take("bytes of mod_kallsyms.strtab", end)?;
        let mut names = Vec::new();
        while let left @ 1.. = end - names.len() as u64 {
            let at = Gva(names_at).plus(names.len() as u64);
            let mut page = vec![0; left.min(PAGE - at.0 % PAGE) as usize];
            match kernel.read(at, &mut page) {
                Ok(()) => names.extend(page),
                Err(_) => break,
            }
        }
        // Without names there is nothing to say, and the kernel does not say labels either (`is_mapping_symbol`).
        let is_name = |name: &[u8]| name.first().is_some_and(|first| *first != 0);
        let is_label = |name: &[u8]| name.starts_with(b".L") || name.starts_with(b"L0");
        of.retain(|(_, name)| names.get(*name as usize..).is_some_and(|name| is_name(name) && !is_label(name)));
        of.sort_by_key(|(value, _)| *value);
        Ok(Symbols { of, names })
    }
}

/// Value and place of the name, if the symbol is of a section of the module.
fn symbol(of: &[u8]) -> Option<(u64, u64)> {
    let (name, section, value) = (of.first_chunk()?, of.get(6..8)?, of.get(8..)?.first_chunk()?);
    (section != [0, 0]).then_some((u64::from_le_bytes(*value), u64::from(u32::from_le_bytes(*name))))
}

impl Symbols {
    /// Values of all that have this name.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Gva> + 'a {
        let is_named = |at: u64| {
            let behind = self.names.get(at as usize..)?.strip_prefix(name.as_bytes())?;
            behind.first().filter(|end| **end == 0)
        };
        self.of.iter().filter(move |(_, at)| is_named(*at).is_some()).map(|(value, _)| Gva(*value))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.of.iter().map(|(_, at)| self.name(*at))
    }

    /// The symbol of a part of the module that an address lies in, and how far.
    pub(super) fn around(&self, part: &Range<u64>, at: Gva) -> Option<(String, u64)> {
        let before = self.of.partition_point(|(value, _)| *value <= at.0).checked_sub(1)?;
        let (start, name) = self.of.get(before).filter(|(start, _)| part.contains(start))?;
        Some((self.name(*name), at.0 - start))
    }

    fn name(&self, at: u64) -> String {
        let names = self.names.get(at as usize..).unwrap_or_default();
        text(names.get(..NAME_BYTES_MAX as usize).unwrap_or(names))
    }
}
