//! Names of compiled BPF code (`struct bpf_ksym`, kernel/bpf/core.c): programs, trampolines and dispatchers.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Layout, Slot, Span};
use crate::list::walk;
use crate::page_table::Gva;

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
        })
    }

    /// Name of the code that `at` lies in, and how far.
    pub(crate) fn around(&self, kernel: &Kernel, at: Gva) -> Option<(String, u64)> {
        let mut found = None;
        let first = Gva(kernel.word(self.head).ok()?);
        let walked = walk(self.head, self.head, first, SYMBOLS_MAX, |node| {
            let symbol = self.span.read(kernel, node.minus(self.links[0].offset))?;
            let [start, end] = symbol.numbers(&self.range);
            if (start..end).contains(&at.0) {
                found = Some((symbol.text(&self.name), at.0 - start));
            }
            Ok(symbol.links(&self.links))
        });
        walked.ok().and(found)
    }
}
