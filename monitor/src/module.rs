//! Modules of a kernel (kernel/module/): their symbols, what lies at an address of theirs, and their types.
//!
//! ```text
//! modules ──find──▶ Module ─┬─symbol──▶ Gva    struct mod_kallsyms
//!                           └─types───▶ Btf    btf_modules: once it is loaded, `struct module` has none any more
//! address ──around──▶ `name+0x12 [module]`     as the kernel writes it, less the size
//! ```

mod symbols;

use crate::bpf::Types;
use crate::error::{if_there, ReadError};
use crate::kernel::Kernel;
use crate::layout::{Content, Layout, Slot, Span};
use crate::list::{walk, End};
use crate::page_table::Gva;
use ktstr_btf::{near, present, Btf, FieldError};
use std::ops::Range;
use std::sync::OnceLock;
use symbols::{Symbols, Tables};

/// Modules of one guest.
const MODULES_MAX: usize = 1 << 10;
/// `MOD_MEM_NUM_TYPES` is 7.
const PARTS_MAX: usize = 16;
/// Bytes of symbols and names of one module, or of all of them together.
const SYMBOL_BYTES_MAX: u64 = 32 << 20;
/// `enum module_state` (include/linux/module.h): of what is neither this nor live (0), symbols and memory are not there yet, or not any more.
const COMING: u64 = 1;
/// Names that are looked at for those that are like one that is not there.
const NEAR_MAX: usize = 1 << 14;
/// A list that changes is read so often.
const TRIES: usize = 3;
const TORN: ReadError = ReadError::Torn("the list of modules");

/// A module, loaded or about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its `struct module`.
    pub at: Gva,
    /// Its name.
    pub name: String,
    /// Text, data and so on.
    parts: Vec<Range<u64>>,
    /// What its per-CPU variables are called by; see [`Kernel::of_cpu`].
    pub(crate) per_cpu: Range<u64>,
    kallsyms: Gva,
    /// Of its unwind table: number of entries, where they begin, and they themselves.
    pub(crate) orc: [u64; 3],
}

/// Where everything is in a kernel's modules.
#[derive(Debug)]
pub struct Modules {
    head: Gva,
    links: [Slot; 2],
    name: Slot,
    state: Slot,
    kallsyms: Slot,
    per_cpu: [Slot; 2],
    parts: Vec<[Slot; 2]>,
    orc: Option<[Slot; 3]>,
    span: Span,
    tables: Tables,
    /// All of them, once an address was asked for.
    all: OnceLock<All>,
}

#[derive(Debug)]
struct All {
    modules: Vec<(Module, Symbols)>,
    /// Why some are missing, or their symbols.
    problem: Option<ReadError>,
}

impl Modules {
    /// Looks everything up once.
    ///
    /// # Errors
    /// The kernel has no modules, or lacks what every kernel with modules has.
    pub fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut module = Layout::new(kernel.btf(), "module");
        // Up to where the array ends.
        let mut part = |index| module.fields([&format!("mem[{index}].base"), &format!("mem[{index}].size")]).ok();
        Ok(Self {
            head: kernel.symbol("modules")?,
            parts: (0..PARTS_MAX).map_while(&mut part).collect(),
            links: module.fields(["list.next", "list.prev"])?,
            name: module.field("name")?,
            state: module.field("state")?,
            kallsyms: module.field("kallsyms")?,
            per_cpu: module.fields(["percpu", "percpu_size"])?,
            orc: present(module.fields(["arch.num_orcs", "arch.orc_unwind_ip", "arch.orc_unwind"]))?,
            span: module.span(),
            tables: Tables::of(kernel)?,
            all: OnceLock::new(),
        })
    }

    /// The module `name`.
    ///
    /// # Errors
    /// There is none, with names that are like it, or the list cannot be read.
    pub fn find(&self, kernel: &Kernel, name: &str) -> Result<Module, ReadError> {
        let mut problem = None;
        for _ in 0..TRIES {
            let mut all = Vec::new();
            let end = self.walk(kernel, &mut all);
            // What was found stands, whatever is behind it.
            if let Some(found) = all.iter().find(|module| module.name == name) {
                return Ok(found.clone());
            }
            problem = unfinished(end);
            if problem.is_none() {
                let near = near(name, all.iter().map(|module| module.name.as_str()));
                return Err(ReadError::NoModule { name: name.to_owned(), near });
            }
        }
        Err(problem.unwrap_or(TORN))
    }

    fn walk(&self, kernel: &Kernel, into: &mut Vec<Module>) -> Result<End, ReadError> {
        walk(self.head, self.head, Gva(kernel.word(self.head)?), MODULES_MAX, |node| {
            let at = node.minus(self.links[0].offset);
            let content = self.span.read(kernel, at)?;
            if content.number(&self.state) <= COMING {
                into.push(self.module(at, &content));
            }
            Ok(content.links(&self.links))
        })
    }

    fn module(&self, at: Gva, content: &Content) -> Module {
        let range = |slots| {
            let [base, bytes] = content.numbers(slots);
            base..base.saturating_add(bytes)
        };
        Module {
            at,
            name: content.text(&self.name),
            parts: self.parts.iter().map(range).collect(),
            per_cpu: range(&self.per_cpu),
            kallsyms: Gva(content.number(&self.kallsyms)),
            orc: self.orc.as_ref().map(|slots| content.numbers(slots)).unwrap_or_default(),
        }
    }

    /// Address of a symbol of a module.
    ///
    /// # Errors
    /// It has no such symbol, with names that are like it, or they cannot be read.
    pub fn symbol(&self, kernel: &Kernel, module: &Module, name: &str) -> Result<Gva, ReadError> {
        let symbols = self.tables.read(kernel, module.kallsyms, &mut { SYMBOL_BYTES_MAX })?;
        let mut named = symbols.named(name);
        let Some(at) = named.next() else {
            let names: Vec<_> = symbols.names().take(NEAR_MAX).collect();
            let near = near(name, names.iter().map(String::as_str));
            let within = format!("module {}", module.name);
            return Err(ReadError::Field(FieldError::Absent { path: name.into(), missing: name.into(), within, near }));
        };
        match named.any(|other| other != at) {
            true => {
                let problem = format!("module {} has several of that name", module.name);
                Err(ReadError::Field(FieldError::Misfit { path: name.into(), problem }))
            }
            false => Ok(at),
        }
    }

    /// The types that a module describes, on top of the kernel's; `None`: it brought none.
    ///
    /// # Errors
    /// They cannot be read, or are damaged.
    pub fn types(&self, kernel: &Kernel, module: &Module) -> Result<Option<Btf>, ReadError> {
        let Some(head) = if_there(kernel.symbol("btf_modules"))? else { return Ok(None) };
        let mut layout = Layout::new(kernel.btf(), "btf_module");
        let links = layout.fields(["list.next", "list.prev"])?;
        let (numbers, span) = (layout.fields(["module", "btf"])?, layout.span());
        let mut problem = None;
        for _ in 0..TRIES {
            let mut found = None;
            let first = Gva(kernel.word(head)?);
            let end = walk(head, head, first, MODULES_MAX, |node| {
                let content = span.read(kernel, node.minus(links[0].offset))?;
                let [of, btf] = content.numbers(&numbers).map(Gva);
                found = found.or((of == module.at).then_some(btf));
                Ok(content.links(&links))
            });
            if let Some(btf) = found {
                return Types::of(kernel)?.read(kernel, btf).map(Some);
            }
            problem = unfinished(end);
            if problem.is_none() {
                return Ok(None);
            }
        }
        Err(problem.unwrap_or(TORN))
    }

    /// Function or variable of a module that an address lies in, how far in bytes, and the module: `work+0x12 [mine]`. The list is read once.
    pub fn around(&self, kernel: &Kernel, at: Gva) -> Option<String> {
        let (module, symbols) = self.at(kernel, at)?;
        let part = module.parts.iter().find(|part| part.contains(&at.0))?;
        let (name, offset) = symbols.around(part, at)?;
        Some(format!("{name}+{offset:#x} [{}]", module.name))
    }

    /// The unwind table of the module that an address lies in.
    pub(crate) fn orc(&self, kernel: &Kernel, at: Gva) -> Option<[u64; 3]> {
        self.at(kernel, at).map(|(module, _)| module.orc)
    }

    /// Why some of them are not known by their addresses, once one was asked for.
    pub(crate) fn problem(&self) -> Option<&ReadError> {
        self.all.get()?.problem.as_ref()
    }

    fn at(&self, kernel: &Kernel, at: Gva) -> Option<&(Module, Symbols)> {
        let all = self.all.get_or_init(|| {
            let (mut found, mut left) = (Vec::new(), SYMBOL_BYTES_MAX);
            // What was found stands, whatever is behind it.
            let mut problem = unfinished(self.walk(kernel, &mut found));
            let with_symbols = |module: Module| {
                let symbols = self.tables.read(kernel, module.kallsyms, &mut left);
                (
                    module,
                    symbols.unwrap_or_else(|error| {
                        problem.get_or_insert(error);
                        Symbols::default()
                    }),
                )
            };
            let modules = found.into_iter().map(with_symbols).collect();
            All { modules, problem }
        });
        all.modules.iter().find(|(module, _)| module.parts.iter().any(|part| part.contains(&at.0)))
    }
}

/// Why a walk did not see all; `None`: it did.
fn unfinished(end: Result<End, ReadError>) -> Option<ReadError> {
    match end {
        Ok(End::Complete) => None,
        Ok(End::TooLong) => {
            let most = MODULES_MAX as u64;
            Some(ReadError::Absurd { what: "the number of modules", seen: most + 1, most })
        }
        Ok(End::Torn) => Some(TORN),
        Err(error) => Some(error),
    }
}

#[cfg(test)]
pub(crate) mod tests;
