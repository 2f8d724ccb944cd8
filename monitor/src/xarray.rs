//! The tree behind a kernel's number maps (`struct xarray`, lib/xarray.c; `struct idr` is one).

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Layout, Slot, Span};
use crate::page_table::Gva;
use ktstr_btf::FieldError;
use std::collections::BTreeSet;

/// Entries of one tree, nodes counted with them.
const ENTRIES_MAX: usize = 1 << 18;

/// `struct xa_node`.
#[derive(Debug)]
pub(crate) struct XArray {
    span: Span,
    shift: Slot,
    slots: Slot,
    count: usize,
}

impl XArray {
    pub(crate) fn of(kernel: &Kernel) -> Result<Self, FieldError> {
        let mut node = Layout::new(kernel.btf(), "xa_node");
        let (shift, slots) = (node.field("shift")?, node.field("slots")?);
        let count = (slots.bytes(kernel.btf()) / 8) as usize;
        Ok(Self { span: node.span(), shift, slots, count })
    }

    /// The pointers in the tree whose head is at `head`, with their numbers.
    pub(crate) fn entries(&self, kernel: &Kernel, head: Gva) -> Result<Vec<(u64, Gva)>, ReadError> {
        let mut entries = Vec::new();
        // Entry, number of its first leaf, and the most that the shift of a node there can be.
        let mut open = vec![(kernel.word(head)?, 0u64, 64u64)];
        let mut seen = BTreeSet::new();
        for _ in 0..ENTRIES_MAX {
            let Some((entry, number, below)) = open.pop() else { return Ok(entries) };
            match entry & 3 {
                0 if entry != 0 => entries.push((number, Gva(entry))),
                // A node; small ones are marks (xa_is_node).
                2 if entry > 4096 => {
                    if !seen.insert(entry) {
                        return Err(ReadError::Loop("an xarray"));
                    }
                    let node = self.span.read(kernel, Gva(entry - 2))?;
                    let shift = node.number(&self.shift);
                    if shift >= below {
                        return Err(ReadError::Absurd {
                            what: "xa_node.shift",
                            seen: shift,
                            most: below.saturating_sub(1),
                        });
                    }
                    let slots = node.words(self.slots.offset, self.count);
                    let number = |slot: usize| number.wrapping_add((slot as u64) << shift);
                    open.extend(slots.into_iter().enumerate().rev().map(|(slot, entry)| (entry, number(slot), shift)));
                }
                _ => {}
            }
        }
        Err(ReadError::Absurd { what: "an xarray", seen: ENTRIES_MAX as u64, most: ENTRIES_MAX as u64 })
    }
}
