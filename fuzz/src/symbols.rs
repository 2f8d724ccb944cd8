//! Tables of a kernel's symbols, and the image that they are in.

use crate::input::{memory_file, Input};
use ktstr_monitor::testkit::{tables, Layout, Machine, LINKED_AT, LOADED_AT};
use ktstr_monitor::{Address, Image, Symbols};
use ktstr_testing::elf::{pvh_image, Section};
use ktstr_testing::BtfWriter;
use std::io::Write;
use std::sync::OnceLock;

/// Of the symbols whose names have one pattern.
const SYMBOLS: u64 = 300;
/// Of an ELF file: flags and link address in the first program header.
const FLAGS_AT: usize = 64 + 4;
const LINKED_AT_AT: usize = 64 + 16;
const READ_AND_EXECUTE: u8 = 5;

/// Tables in the three layouts, and an image.
fn whole() -> &'static [Vec<u8>; 4] {
    static WHOLE: OnceLock<[Vec<u8>; 4]> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let name = |index: u64| if index % 10 == 7 { format!("init_{index}") } else { format!("symbol_{index}") };
        let symbols: Vec<_> = (0..SYMBOLS).map(|index| (name(index), LINKED_AT + 0x1000 + 16 * index)).collect();
        let of = |layout| [vec![1; 96], tables(layout, &symbols, LINKED_AT + 96)].concat();
        [of(Layout::Place), of(Layout::Base), of(Layout::Absolute), elf()]
    })
}

fn elf() -> Vec<u8> {
    let mut types = BtfWriter::default();
    let int = types.int("int", 4, 1);
    types.structure("rq", 4, &[("nr_running", int, 0, 0)]);
    let bytes = Machine::new(LOADED_AT, 0).segment(&types.finish());
    let mut elf = pvh_image(0, &[Section { address: LOADED_AT as u32, bytes }]);
    elf[FLAGS_AT] = READ_AND_EXECUTE;
    elf[LINKED_AT_AT..LINKED_AT_AT + 8].copy_from_slice(&LINKED_AT.to_le_bytes());
    elf
}

/// Which of them, whether the rest is it or the changes of it, and those: where, how many bytes (none: it ends there), what.
///
/// # Panics
/// If what is found is not what the tables say.
pub fn symbols(input: &[u8]) {
    let mut input = Input(input);
    let what = input.u8();
    let mut bytes = match what & 4 {
        0 => whole()[usize::from(what & 3)].clone(),
        _ => input.bytes(usize::MAX).to_vec(),
    };
    while !input.is_empty() {
        let (at, length) = (usize::from(input.u16()), usize::from(input.u8() % 16));
        match length {
            0 => bytes.truncate(at),
            _ => bytes.iter_mut().skip(at).zip(input.bytes(length)).for_each(|(to, from)| *to = *from),
        }
    }
    if what & 3 != 3 {
        return Symbols::find_in(bytes, LINKED_AT).iter().for_each(look);
    }
    let (mut file, path) = memory_file();
    file.write_all(&bytes).expect("writes");
    if let Ok(image) = Image::open(&path) {
        look(image.symbols());
        let _ = (image.btf().field("rq", "nr_running"), image.banner().len());
    }
}

fn look(symbols: &Symbols) {
    for name in ["", "init_7", "init_task", "symbol_11", "symbol_299", "zzz"] {
        let Some(Address::Linked(at)) = symbols.find(name) else { continue };
        // Damaged tables may not be sorted.
        let _ = symbols.around_address(at);
    }
    for linked in [0, LINKED_AT, LINKED_AT + 0x1075, LINKED_AT + (1 << 30), u64::MAX] {
        if let Some((name, distance)) = symbols.around_address(linked) {
            assert!(distance <= linked && name.len() <= 512 * 512, "{name} and {distance} of {linked:#x}");
        }
    }
    assert!(symbols.count() > 256, "{} symbols", symbols.count());
}
