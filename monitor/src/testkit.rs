//! A kernel that never ran: tables, types, page tables and memory as tests want them.

use crate::image::{Image, Segment};
use crate::page_table::Gva;
use crate::segments::Memory;
use ktstr_vmm::{Gpa, MemoryError};
#[cfg(test)]
use std::sync::Arc;

/// Where the kernel is linked.
pub const LINKED_AT: u64 = 0xffff_ffff_8100_0000;
/// Where it is loaded, if nothing moves it.
pub const LOADED_AT: u64 = 0x100_0000;
/// Where its direct map begins.
pub const DIRECT: u64 = 0xffff_8880_0000_0000;
const BANNER: &[u8] = b"Linux version 9.9.9 (nobody@nowhere)\n\0";

/// Memory that tests write.
#[derive(Debug, Default, Clone)]
pub struct Fake(pub Vec<u8>);

impl Memory for Fake {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        let hole = MemoryError::Hole { start: at, bytes: into.len(), at };
        let from = usize::try_from(at.0).ok().and_then(|at| self.0.get(at..)?.get(..into.len()));
        into.copy_from_slice(from.ok_or(hole)?);
        Ok(())
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        vec![(Gpa(0), self.0.len() as u64)]
    }
}

impl Fake {
    /// Writes a word; memory grows as needed.
    pub fn put(&mut self, at: u64, word: u64) {
        self.write(at, &word.to_le_bytes());
    }

    /// Writes bytes; memory grows as needed.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        self.0.resize(self.0.len().max(at + bytes.len()), 0);
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// How scripts/kallsyms.c writes its tables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Layout {
    /// 7.0 and later.
    Place,
    /// 6.15 to 6.19.
    Base,
    /// Up to 6.14.
    Absolute,
}

/// Tables of `symbols`, which are in the order of their addresses, linked at `at`.
pub fn tables(layout: Layout, symbols: &[(String, u64)], at: u64) -> Vec<u8> {
    let align = if layout == Layout::Place { 4 } else { 8 };
    let mut bytes = Vec::new();
    let pad = |bytes: &mut Vec<u8>| {
        let end = (at + bytes.len() as u64).next_multiple_of(align);
        bytes.resize((end - at) as usize, 0);
    };
    pad(&mut bytes);
    bytes.extend((symbols.len() as u32).to_le_bytes());
    pad(&mut bytes);
    let (names, mut markers) = (bytes.len(), Vec::new());
    for (index, (name, _)) in symbols.iter().enumerate() {
        if index % 256 == 0 {
            markers.extend(((bytes.len() - names) as u32).to_le_bytes());
        }
        // Token 1 is "Dinit_".
        let tokens = match name.strip_prefix("init_") {
            Some(rest) => [&[1], rest.as_bytes()].concat(),
            None => [b"D", name.as_bytes()].concat(),
        };
        match tokens.len() {
            length @ ..0x80 => bytes.push(length as u8),
            length => bytes.extend([length as u8 & 0x7f | 0x80, (length >> 7) as u8]),
        }
        bytes.extend(tokens);
    }
    pad(&mut bytes);
    bytes.extend(markers);
    pad(&mut bytes);
    let (table, mut index) = (bytes.len(), Vec::new());
    for token in 0..=255u8 {
        index.extend(((bytes.len() - table) as u16).to_le_bytes());
        match token {
            1 => bytes.extend(b"Dinit_\0"),
            b'!'..=b'~' => bytes.extend([token, 0]),
            _ => bytes.extend(b"tok\0"),
        }
    }
    pad(&mut bytes);
    bytes.extend(index);
    pad(&mut bytes);
    for (_, address) in symbols {
        let offset = match layout {
            Layout::Place => address.wrapping_sub(at + bytes.len() as u64),
            Layout::Absolute if *address < LINKED_AT => *address,
            Layout::Absolute => LINKED_AT.wrapping_sub(*address).wrapping_sub(1),
            Layout::Base => address - LINKED_AT,
        };
        bytes.extend((offset as u32).to_le_bytes());
    }
    if layout != Layout::Place {
        pad(&mut bytes);
        bytes.extend(LINKED_AT.to_le_bytes());
    }
    let mut order: Vec<usize> = (0..symbols.len()).collect();
    order.sort_by_key(|index| &symbols[*index].0);
    bytes.extend(order.iter().flat_map(|index| [(index >> 16) as u8, (index >> 8) as u8, *index as u8]));
    bytes
}

/// A machine with a kernel: the image in one large page, all memory in the direct map.
#[derive(Debug)]
pub struct Machine {
    /// Its memory.
    pub memory: Fake,
    /// Symbols and their link addresses.
    pub symbols: Vec<(String, u64)>,
    text_at: u64,
}

impl Machine {
    /// The kernel is `by` beyond its link address and lies at `text_at`.
    pub fn new(text_at: u64, by: u64) -> Self {
        let symbols = [
            ("_text", 0),
            ("linux_banner", 0x100),
            ("__start_BTF", 0x200),
            ("nr_cpu_ids", 0x10_0000),
            ("__per_cpu_offset", 0x10_0008),
            ("system_state", 0x10_0100),
            ("init_task", 0x10_1000),
            ("init_top_pgt", 0x10_2000),
            ("runqueues", 0x10_4000),
            ("_end", 0x20_0000),
        ];
        let filler = (0..300).map(|index| (format!("filler_{index}"), LINKED_AT + 0x11_0000 + index));
        let symbols =
            symbols.iter().map(|(name, offset)| ((*name).to_owned(), LINKED_AT + offset)).chain(filler).collect();
        let mut machine = Self { memory: Fake::default(), symbols, text_at };
        let (text, top) = (LINKED_AT + by, text_at + 0x10_2000);
        let index = |at: u64, shift: u32| (at >> shift & 511) * 8;
        let memory = &mut machine.memory;
        // Behind everything, so that all of it can be read.
        memory.put(text_at + 0x20_0000, 0);
        memory.write(text_at + 0x100, BANNER);
        memory.put(top + index(text, 39), 0x2003);
        memory.put(0x2000 + index(text, 30), 0x3003);
        memory.put(0x3000 + index(text, 21), text_at | 0x83);
        memory.put(top + index(DIRECT, 39), 0x4003);
        memory.put(0x4000 + index(DIRECT, 30), 0x83);
        machine.put("system_state", 1);
        machine.put("nr_cpu_ids", 2);
        machine.put("__per_cpu_offset", 0x2000);
        memory_put_second(&mut machine, 0x3000);
        machine
    }

    /// Physical address of a symbol.
    ///
    /// # Panics
    /// If there is none.
    pub fn at(&self, name: &str) -> u64 {
        let (_, linked) = self.symbols.iter().find(|(known, _)| known == name).expect("is a symbol");
        linked - LINKED_AT + self.text_at
    }

    /// Writes a word where a symbol is.
    pub fn put(&mut self, name: &str, word: u64) {
        self.memory.put(self.at(name), word);
    }

    /// The segment with its code, linked at [`LINKED_AT`]: symbols, and `types` as its BTF.
    pub fn segment(&self, types: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x200];
        bytes[0x100..0x100 + BANNER.len()].copy_from_slice(BANNER);
        bytes.extend(types);
        let mut symbols = self.symbols.clone();
        symbols.push(("__stop_BTF".into(), LINKED_AT + bytes.len() as u64));
        symbols.sort_by_key(|(_, address)| *address);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(tables(Layout::Base, &symbols, LINKED_AT + bytes.len() as u64));
        bytes
    }

    /// Its image.
    ///
    /// # Panics
    /// If it lacks what every kernel has.
    pub fn image_of(&self, types: &[u8]) -> Image {
        let bytes = self.segment(types);
        let code = Segment { offset: 0, bytes: bytes.len() as u64, virt: LINKED_AT, phys: LOADED_AT };
        let read = |at: u64, into: &mut [u8]| {
            into.copy_from_slice(&bytes[at as usize..at as usize + into.len()]);
            Ok(())
        };
        Image::of(&read, &code).expect("is a kernel")
    }
}

#[cfg(test)]
impl Machine {
    pub(crate) fn image(&self, types: &ktstr_testing::BtfWriter) -> Image {
        self.image_of(&types.finish())
    }

    pub(crate) fn open(&self, types: &ktstr_testing::BtfWriter) -> Result<crate::Kernel, crate::KernelError> {
        crate::Kernel::open(Arc::new(self.image(types)), Arc::new(self.memory.clone()))
    }
}

fn memory_put_second(machine: &mut Machine, word: u64) {
    let at = machine.at("__per_cpu_offset") + 8;
    machine.memory.put(at, word);
}

/// Where the direct map has a physical address.
pub fn direct(at: u64) -> Gva {
    Gva(DIRECT + at)
}

/// A `struct list_head` each of `nodes`, in a ring.
pub fn ring(memory: &mut Fake, nodes: &[(u64, Gva)]) {
    for (index, (at, _)) in nodes.iter().enumerate() {
        let next = nodes[(index + 1) % nodes.len()].1;
        let prev = nodes[(index + nodes.len() - 1) % nodes.len()].1;
        memory.put(*at, next.0);
        memory.put(at + 8, prev.0);
    }
}
