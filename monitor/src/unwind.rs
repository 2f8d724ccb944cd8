//! The way back from where a CPU or a task is: the return addresses on its kernel stack, by the kernel's own unwind tables.
//!
//! ```text
//! registers of a CPU, or the frame of a task that was switched out ──▶ Place ──caller──▶ Place ──▶ … ──▶ end of the stack
//!                                          ORC entry of the instruction ──────┘
//! ```
//!
//! The tables are ORC (Documentation/arch/x86/orc-unwinder.rst; arch/x86/kernel/unwind_orc.c): the image's, and each module's. Code that they do not have, such as
//! compiled BPF, has frame pointers. Nothing on the stack is believed: it is read as the rest of memory, and a walk has an end.

use crate::bpf_symbols::BpfSymbols;
use crate::error::{if_there, ReadError};
use crate::kernel::Kernel;
use crate::layout::{Layout, Slot, Span};
use crate::module::Modules;
use crate::page_table::Gva;
use ktstr_vmm::CpuRegisters;

/// Callers of one place.
const FRAMES_MAX: usize = 128;
/// Entries of the table: the largest kernels have a tenth.
const ENTRIES_MAX: u64 = 1 << 23;
const WORD: u64 = 8;

/// `ORC_TYPE_*` (arch/x86/include/asm/orc_types.h); not in the kernel's types.
const CALL: u64 = 2;
const REGS: u64 = 3;
const REGS_PARTIAL: u64 = 4;

/// `ORC_REG_*`: neither in the kernel's types.
#[derive(Debug, PartialEq)]
struct Numbers {
    prev_sp: u64,
    bp: u64,
    sp: u64,
    bp_indirect: u64,
    sp_indirect: u64,
}

const UNDEFINED: u64 = 0;
/// Up to 7.0, and from then on. Which it is can be seen where a function begins: there all of them are relative to the stack pointer.
const NUMBERINGS: [Numbers; 2] = [
    Numbers { prev_sp: 1, bp: 4, sp: 5, bp_indirect: 8, sp_indirect: 9 },
    Numbers { prev_sp: 8, bp: 4, sp: 3, bp_indirect: 10, sp_indirect: 9 },
];
const SOME_FUNCTION: &str = "schedule";

/// One entry of a backtrace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The instruction: where the CPU is, or the return address.
    pub at: Gva,
    /// Function and offset: `schedule+0x27`; none: no symbol is there.
    pub name: Option<String>,
}

/// What is known at one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    ip: u64,
    sp: u64,
    bp: u64,
    /// Whether `ip` is an instruction that was interrupted and not a return address.
    exact: bool,
}

/// Entry of an instruction.
struct Orc {
    sp_offset: u64,
    bp_offset: u64,
    sp_reg: u64,
    bp_reg: u64,
    kind: u64,
}

/// Where everything is that unwinding needs.
#[derive(Debug)]
pub struct Unwinder {
    /// Tables; none: the kernel has frame pointers instead.
    tables: Option<Tables>,
    /// `struct pt_regs`: ip, sp, bp.
    regs: [u64; 3],
    /// A task's stack pointer, and what lies there: bp, return address.
    task_sp: u64,
    switched_out: [u64; 2],
    bpf: Option<BpfSymbols>,
    modules: Option<Modules>,
}

#[derive(Debug)]
struct Tables {
    image: Table,
    span: Span,
    slots: [Slot; 5],
    entry_bytes: u64,
    numbers: &'static Numbers,
}

/// Of the image, or of a module.
#[derive(Debug, Clone, Copy)]
struct Table {
    ips: Gva,
    entries: Gva,
    count: u64,
}

impl Unwinder {
    /// Looks everything up once.
    ///
    /// # Errors
    /// The kernel lacks what every kernel on x86-64 has.
    pub fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let offset = |of: &str, path: &str| kernel.btf().field(of, path).map(|field| field.offset);
        Ok(Self {
            tables: if_there(Tables::of(kernel))?,
            regs: [offset("pt_regs", "ip")?, offset("pt_regs", "sp")?, offset("pt_regs", "bp")?],
            task_sp: offset("task_struct", "thread.sp")?,
            switched_out: [offset("inactive_task_frame", "bp")?, offset("inactive_task_frame", "ret_addr")?],
            bpf: if_there(BpfSymbols::of(kernel))?,
            modules: if_there(Modules::of(kernel))?,
        })
    }

    /// Where a CPU is in the kernel, and how it came there. In user space it has no such way.
    pub fn cpu(&self, kernel: &Kernel, registers: &CpuRegisters) -> Vec<Frame> {
        let CpuRegisters { rip: ip, rsp: sp, rbp: bp, .. } = *registers;
        match registers.privilege {
            0 => self.frames(kernel, Place { ip, sp, bp, exact: true }),
            _ => Vec::new(),
        }
    }

    /// Where a task was switched out, and how it came there.
    ///
    /// # Errors
    /// Its memory cannot be read. Of a task that runs meanwhile the answer is of no use.
    pub fn task(&self, kernel: &Kernel, task: Gva) -> Result<Vec<Frame>, ReadError> {
        let sp = kernel.word(task.plus(self.task_sp))?;
        let [bp, ip] = self.switched_out.map(|offset| kernel.word(Gva(sp).plus(offset)));
        let (bp, ip) = (bp?, ip?);
        let sp = sp.wrapping_add(self.switched_out[1] + WORD);
        Ok(self.frames(kernel, Place { ip, sp, bp, exact: false }))
    }

    fn frames(&self, kernel: &Kernel, first: Place) -> Vec<Frame> {
        let (mut frames, mut place) = (Vec::new(), Some(first));
        while let Some(now) = place.filter(|_| frames.len() < FRAMES_MAX) {
            let at = Gva(now.ip);
            let name = kernel.symbol_at(at).or_else(|| self.bpf.as_ref()?.around(kernel, at));
            let name = name.map(|(name, offset)| format!("{name}+{offset:#x}"));
            frames.push(Frame { at, name: name.or_else(|| self.modules.as_ref()?.around(kernel, at)) });
            place = self.caller(kernel, now).filter(|caller| caller.ip != 0 && *caller != now);
        }
        frames
    }

    /// Why functions of some modules have no names, and are not led through, as far as that was seen.
    pub(crate) fn problem(&self) -> Option<&ReadError> {
        self.modules.as_ref()?.problem()
    }

    /// The one for an address; `None`: it is neither of the image nor of a module.
    fn table(&self, kernel: &Kernel, tables: &Tables, at: Gva) -> Option<Table> {
        if kernel.symbol_at(at).is_some() {
            return Some(tables.image);
        }
        let [count, ips, entries] = self.modules.as_ref()?.orc(kernel, at)?;
        Some(Table { ips: Gva(ips), entries: Gva(entries), count: count.min(ENTRIES_MAX) })
    }

    /// `None`: there is none, or it cannot be known.
    fn caller(&self, kernel: &Kernel, now: Place) -> Option<Place> {
        // A call can be the last instruction of a function.
        let ip = if now.exact { now.ip } else { now.ip.wrapping_sub(1) };
        let (orc, numbers) = match &self.tables {
            Some(tables) => {
                let table = self.table(kernel, tables, Gva(ip));
                (table.map(|table| tables.entry(kernel, table, ip)).transpose().ok()?.flatten(), tables.numbers)
            }
            None => (None, &NUMBERINGS[0]),
        };
        let orc = orc.unwrap_or(frame_pointers(numbers));
        let word = |at: u64| kernel.word(Gva(at)).ok();
        let base = match orc.sp_reg {
            reg if reg == numbers.sp => now.sp.wrapping_add(orc.sp_offset),
            reg if reg == numbers.bp => now.bp.wrapping_add(orc.sp_offset),
            reg if reg == numbers.sp_indirect => word(now.sp)?.wrapping_add(orc.sp_offset),
            reg if reg == numbers.bp_indirect => word(now.bp.wrapping_add(orc.sp_offset))?,
            _ => return None,
        };
        let [at_ip, at_sp, at_bp] = self.regs;
        let (ip, sp, exact, regs) = match orc.kind {
            CALL => (word(base.wrapping_sub(WORD))?, base, false, None),
            REGS => (word(base.wrapping_add(at_ip))?, word(base.wrapping_add(at_sp))?, true, Some(base)),
            // What the CPU pushes for an interrupt: the end of `pt_regs` from `ip` on.
            REGS_PARTIAL => (word(base)?, word(base.wrapping_add(at_sp.wrapping_sub(at_ip)))?, true, None),
            // The end of the stack, or what the kernel cannot unwind either.
            _ => return None,
        };
        let bp = match (orc.bp_reg, regs) {
            (UNDEFINED, Some(regs)) => word(regs.wrapping_add(at_bp))?,
            (reg, _) if reg == numbers.prev_sp => word(base.wrapping_add(orc.bp_offset))?,
            (reg, _) if reg == numbers.bp => word(now.bp.wrapping_add(orc.bp_offset))?,
            _ => now.bp,
        };
        Some(Place { ip, sp, bp, exact })
    }
}

/// Of code with frame pointers.
fn frame_pointers(numbers: &Numbers) -> Orc {
    let bp_offset = (2 * WORD).wrapping_neg();
    Orc { sp_offset: 2 * WORD, bp_offset, sp_reg: numbers.bp, bp_reg: numbers.prev_sp, kind: CALL }
}

impl Tables {
    fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut entry = Layout::new(kernel.btf(), "orc_entry");
        let slots = entry.fields(["sp_offset", "bp_offset", "sp_reg", "bp_reg", "type"])?;
        let ips = kernel.symbol("__start_orc_unwind_ip")?;
        let bytes = kernel.symbol("__stop_orc_unwind_ip")?.0.saturating_sub(ips.0);
        let mut tables = Self {
            image: Table { ips, entries: kernel.symbol("__start_orc_unwind")?, count: (bytes / 4).min(ENTRIES_MAX) },
            span: entry.span(),
            slots,
            entry_bytes: kernel.btf().find("orc_entry").and_then(|id| kernel.btf().size(id)).unwrap_or(6),
            numbers: &NUMBERINGS[0],
        };
        let begin = kernel.symbol(SOME_FUNCTION)?;
        let sp = tables.entry(kernel, tables.image, begin.0)?.map(|orc| orc.sp_reg);
        let numbers = NUMBERINGS.iter().find(|numbers| Some(numbers.sp) == sp);
        // Not an absence: it has no frame pointers instead.
        tables.numbers =
            numbers.ok_or(ReadError::Unknown("the numbering of registers in the kernel's unwind tables"))?;
        Ok(tables)
    }

    /// The last entry of a table that begins at or before `ip`.
    fn entry(&self, kernel: &Kernel, table: Table, ip: u64) -> Result<Option<Orc>, ReadError> {
        let (mut low, mut high) = (0, table.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match table.start(kernel, middle)? <= ip {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let Some(index) = low.checked_sub(1) else { return Ok(None) };
        let content = self.span.read(kernel, table.entries.plus(index * self.entry_bytes))?;
        let [sp_offset, bp_offset, sp_reg, bp_reg, kind] = content.numbers(&self.slots);
        Ok(Some(Orc { sp_offset, bp_offset, sp_reg, bp_reg, kind }))
    }
}

impl Table {
    /// Where an entry begins: the table has distances from its own places.
    fn start(&self, kernel: &Kernel, index: u64) -> Result<u64, ReadError> {
        let at = self.ips.plus(index * 4);
        let distance = kernel.half(at)? as i32;
        Ok(at.0.wrapping_add_signed(i64::from(distance)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::tests as modules;
    use crate::testkit::{direct, Machine, LINKED_AT, LOADED_AT};
    use ktstr_testing::BtfWriter;

    const TEXT: u64 = LINKED_AT + 0x12_0000;
    const IPS: u64 = LINKED_AT + 0x13_0000;

    fn types() -> BtfWriter {
        let mut btf = BtfWriter::default();
        let (short, int, u64_) =
            (btf.int("short", 2, 1), btf.int("unsigned int", 4, 0), btf.int("unsigned long", 8, 0));
        let entry = [
            ("sp_offset", short, 0, 0),
            ("bp_offset", short, 16, 0),
            ("sp_reg", int, 32, 4),
            ("bp_reg", int, 36, 4),
            ("type", int, 40, 3),
        ];
        btf.structure("orc_entry", 6, &entry);
        btf.structure("pt_regs", 24, &[("bp", u64_, 0, 0), ("ip", u64_, 64, 0), ("sp", u64_, 128, 0)]);
        let thread = btf.structure("thread_struct", 8, &[("sp", u64_, 0, 0)]);
        btf.structure("task_struct", 8, &[("thread", thread, 0, 0)]);
        btf.structure("inactive_task_frame", 16, &[("bp", u64_, 0, 0), ("ret_addr", u64_, 64, 0)]);
        btf
    }

    /// Names of the functions that led to one in a module, with tables in which the stack pointer has the number `sp`.
    fn names(sp: u8) -> Result<Vec<String>, String> {
        let mut machine = Machine::new(LOADED_AT, 0);
        // Each entry is of a function: how far the stack pointer is from the caller's, and of what kind it is.
        let functions = [("schedule", 0x100u64, 8u8, CALL), ("caller", 0x200, 16, CALL), ("begin", 0x300, 0, 1)];
        let tables = [("__start_orc_unwind_ip", 0), ("__stop_orc_unwind_ip", 12), ("__start_orc_unwind", 0x100)];
        machine.symbols.extend(functions.iter().map(|(name, at, ..)| ((*name).to_owned(), TEXT + at)));
        machine.symbols.extend(tables.iter().map(|(name, at)| ((*name).to_owned(), IPS + at)));
        let (ips, entries) = (machine.at("__start_orc_unwind_ip"), machine.at("__start_orc_unwind"));
        for ((_, at, offset, kind), index) in functions.into_iter().zip(0..) {
            let distance = (TEXT + at).wrapping_sub(IPS + 4 * index) as u32;
            machine.memory.write(ips + 4 * index, &distance.to_le_bytes());
            machine.memory.write(entries + 6 * index, &[offset, 0, 0, 0, sp, kind as u8]);
        }
        let mut btf = types();
        modules::add_types(&mut btf);
        let module = modules::add_to(&mut machine);
        machine.memory.write(modules::ORC + 0x40, &[8, 0, 0, 0, sp, CALL as u8]);
        machine.memory.put(0x4ff8, TEXT + 0x104);
        machine.memory.put(0x5000, TEXT + 0x210);
        machine.memory.put(0x5010, TEXT + 0x308);
        let kernel = machine.open(&btf).expect("is there");
        let unwinder = Unwinder::of(&kernel).map_err(|error| error.to_string())?;
        let registers = CpuRegisters {
            cpu: 0,
            rip: module + 0x14,
            rsp: direct(0x4ff8).0,
            rbp: 0,
            rflags: 0,
            cr0: 0,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            privilege: 0,
            halted: false,
        };
        assert_eq!(unwinder.cpu(&kernel, &CpuRegisters { privilege: 3, ..registers }), []);
        Ok(unwinder.cpu(&kernel, &registers).into_iter().filter_map(|frame| frame.name).collect())
    }

    #[test]
    fn the_way_back_is_found_with_either_numbering_and_with_no_other() {
        let way = ["work+0x4 [mine]", "schedule+0x4", "caller+0x10", "begin+0x8"].map(str::to_owned);
        assert_eq!(names(5), Ok(way.to_vec()));
        assert_eq!(names(3), Ok(way.to_vec()));
        let unknown = "the numbering of registers in the kernel's unwind tables is not one that is known here";
        assert_eq!(names(7), Err(unknown.into()));
    }
}
