//! Names of compiled BPF code (`struct bpf_ksym`, kernel/bpf/core.c): programs, trampolines and dispatchers.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Layout, Slot, Span};
use crate::list::walk;
use crate::page_table::Gva;
use std::ops::Range;
use std::sync::OnceLock;

/// Programs and trampolines of one guest.
const SYMBOLS_MAX: usize = 1 << 14;

/// Where everything is in a kernel's list of them.
#[derive(Debug)]
pub(crate) struct BpfSymbols {
    head: Gva,
    links: [Slot; 2],
    range: [Slot; 2],
    name: Slot,
    span: Span,
    /// All of them, once one was asked for.
    all: OnceLock<Vec<(Range<u64>, String)>>,
}

impl BpfSymbols {
    /// Looks everything up once.
    pub(crate) fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut symbol = Layout::new(kernel.btf(), "bpf_ksym");
        Ok(Self {
            head: kernel.symbol("bpf_kallsyms")?,
            links: symbol.fields(["lnode.next", "lnode.prev"])?,
            range: symbol.fields(["start", "end"])?,
            name: symbol.field("name")?,
            span: symbol.span(),
            all: OnceLock::new(),
        })
    }

    /// Name of the code that `at` lies in, and how far.
    pub(crate) fn around(&self, kernel: &Kernel, at: Gva) -> Option<(String, u64)> {
        let (range, name) =
            self.all.get_or_init(|| self.read(kernel)).iter().find(|(range, _)| range.contains(&at.0))?;
        Some((name.clone(), at.0 - range.start))
    }

    /// As far as the list can be read: what was found stands, whatever is behind it.
    fn read(&self, kernel: &Kernel) -> Vec<(Range<u64>, String)> {
        let mut all = Vec::new();
        let Ok(first) = kernel.word(self.head).map(Gva) else { return all };
        let _ = walk(self.head, self.head, first, SYMBOLS_MAX, |node| {
            let symbol = self.span.read(kernel, node.minus(self.links[0].offset))?;
            let [start, end] = symbol.numbers(&self.range);
            all.push((start..end, symbol.text(&self.name)));
            Ok(symbol.links(&self.links))
        });
        all
    }
}
