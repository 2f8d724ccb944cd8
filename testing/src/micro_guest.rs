//! Guests of a few instructions, for the conformance suite of back ends.
//!
//! Each is a table of bytes with the disassembly beside them (32-bit code, Intel syntax), so that what runs is what is written, and needs no
//! assembler. To add one: a function here that gives its lines, and a test in the suite that says what every machine must make of it.

mod places;
mod saving;
mod time;

pub use places::{places, FIRST_POINTERS, OTHER_PLACE, OTHER_POINTERS};
pub use saving::{
    add_and_save_then, add_to_kept, print_and_save, save_beside_a_count, save_then, COUNT, COUNTED, KEPT, KEPT_VALUE,
};
pub use time::{ticks, time, time_and_hang, TICKS};

use crate::elf::{pvh_image, Section};

/// Where code is loaded and entered.
pub const CODE: u32 = 0x10_0000;
/// Where guests leave their results; see the guest for the layout.
pub const RESULT: u32 = 0x20_0000;
/// Page tables of guests that use paging.
const TABLES: u32 = 0x30_0000;
const PAGE_BYTES: u32 = 4096;
/// Where such guests see the window.
const WINDOW_VIEW: u32 = 0x4000_0000;

/// Instructions, each as bytes and text.
type Lines<'a> = &'a [(&'a [u8], &'a str)];

/// A bootable guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicroGuest {
    code: Vec<u8>,
    others: Vec<Section>,
}

impl MicroGuest {
    fn new(lines: Lines<'_>) -> Self {
        let code = lines.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
        Self { code, others: Vec::new() }
    }

    fn then(mut self, lines: Lines<'_>) -> Self {
        self.code.extend(lines.iter().flat_map(|(bytes, _)| bytes.iter().copied()));
        self
    }

    /// The file to boot.
    pub fn image(&self) -> Vec<u8> {
        let mut sections = vec![Section { address: CODE, bytes: self.code.clone() }];
        sections.extend(self.others.iter().cloned());
        pvh_image(CODE, &sections)
    }

    /// The addresses that its code occupies.
    pub fn code_range(&self) -> std::ops::Range<u64> {
        let start = u64::from(CODE);
        start..start + self.code.len() as u64
    }
}

/// Ends by the debug exit.
pub fn exit(code: u8) -> MicroGuest {
    MicroGuest::new(&[
        (&[0xb0, code], "mov  al, code"),
        (&[0xe6, 0xf4], "out  0xf4, al"),
        (&[0xf4], "hlt"),
        (&[0xeb, 0xfd], "jmp  $-1"),
    ])
}

/// Waits with interrupts off.
pub fn idle() -> MicroGuest {
    MicroGuest::new(&[(&[0xfa], "cli"), (&[0xf4], "hlt"), (&[0xeb, 0xfd], "jmp  $-1")])
}

/// Spins with interrupts off.
pub fn hang() -> MicroGuest {
    MicroGuest::new(HANG)
}

const HANG: Lines<'_> = &[(&[0xfa], "cli"), (&[0xeb, 0xfe], "jmp  $")];

/// Raises a fault without any handlers.
pub fn triple_fault() -> MicroGuest {
    let table = RESULT.to_le_bytes();
    MicroGuest::new(&[
        (&[0x0f, 0x01, 0x1d, table[0], table[1], table[2], table[3]], "lidt [RESULT]   ; six zero bytes"),
        (&[0x0f, 0x0b], "ud2"),
    ])
    .then(HANG)
}

const RESET: Lines<'_> = &[
    (&[0x66, 0xba, 0xf9, 0x0c], "mov  dx, 0xcf9  ; reset control register"),
    (&[0xb0, 0x02], "mov  al, 2      ; hard reset"),
    (&[0xee], "out  dx, al"),
    (&[0xb0, 0x06], "mov  al, 6      ; now"),
    (&[0xee], "out  dx, al"),
];

/// Resets the machine.
pub fn reset() -> MicroGuest {
    MicroGuest::new(RESET).then(HANG)
}

/// Switches the machine off: sleep state S5 of ACPI's PM1a control register, where q35 firmware puts it.
pub fn power_off() -> MicroGuest {
    MicroGuest::new(&[
        (&[0x66, 0xba, 0x04, 0x06], "mov  dx, 0x604"),
        (&[0x66, 0xb8, 0x00, 0x20], "mov  ax, 0x2000 ; SLP_EN, SLP_TYP 0"),
        (&[0x66, 0xef], "out  dx, ax"),
    ])
    .then(HANG)
}

/// Writes `text` to the first serial port.
fn printing(text: &str) -> MicroGuest {
    let at = RESULT.to_le_bytes();
    let mut guest = MicroGuest::new(&[
        (&[0xbe, at[0], at[1], at[2], at[3]], "      mov  esi, RESULT  ; the text"),
        (&[0xfc], "      cld"),
        (&[0x66, 0xba, 0xfd, 0x03], "next: mov  dx, 0x3fd      ; line status"),
        (&[0xec], "wait: in   al, dx"),
        (&[0xa8, 0x20], "      test al, 0x20      ; transmitter empty"),
        (&[0x74, 0xfb], "      jz   wait"),
        (&[0xac], "      lodsb"),
        (&[0x84, 0xc0], "      test al, al"),
        (&[0x74, 0x07], "      jz   done"),
        (&[0x66, 0xba, 0xf8, 0x03], "      mov  dx, 0x3f8"),
        (&[0xee], "      out  dx, al"),
        (&[0xeb, 0xeb], "      jmp  next          ; done:"),
    ]);
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    guest.others.push(Section { address: RESULT, bytes });
    guest
}

/// Writes `text` to the first serial port and exits with 0.
pub fn print(text: &str) -> MicroGuest {
    printing(text).then(&[(&[0xb0, 0x00], "mov  al, 0"), (&[0xe6, 0xf4], "out  0xf4, al")]).then(HANG)
}

/// Writes `text` to the first serial port and hangs.
pub fn print_and_hang(text: &str) -> MicroGuest {
    printing(text).then(HANG)
}

/// Writes `text` to the first serial port, spins for a while and resets the machine.
pub fn print_and_reset(text: &str) -> MicroGuest {
    let spin: Lines<'_> = &[(&[0xb9, 0x00, 0x00, 0x10, 0x00], "mov  ecx, 0x100000"), (&[0xe2, 0xfe], "loop $")];
    printing(text).then(spin).then(RESET).then(HANG)
}

/// What [`store`] leaves at [`RESULT`].
pub const STORED: u64 = 0x0123_4567_89ab_cdef;

/// Stores [`STORED`] and waits.
pub fn store() -> MicroGuest {
    let (low, high) = (RESULT.to_le_bytes(), (RESULT + 4).to_le_bytes());
    MicroGuest::new(&[
        (&[0xc7, 0x05, low[0], low[1], low[2], low[3], 0xef, 0xcd, 0xab, 0x89], "mov  dword ptr [RESULT], 0x89abcdef"),
        (
            &[0xc7, 0x05, high[0], high[1], high[2], high[3], 0x67, 0x45, 0x23, 0x01],
            "mov  dword ptr [RESULT + 4], 0x01234567",
        ),
        (&[0xfa], "cli"),
        (&[0xf4], "hlt"),
        (&[0xeb, 0xfd], "jmp  $-1"),
    ])
}

/// Counts in a word at [`RESULT`] for ever.
pub fn count() -> MicroGuest {
    let at = RESULT.to_le_bytes();
    MicroGuest::new(&[
        (&[0xfa], "      cli"),
        (&[0xff, 0x05, at[0], at[1], at[2], at[3]], "next: inc  dword ptr [RESULT]"),
        (&[0xeb, 0xf8], "      jmp  next"),
    ])
}

/// Subleaves that [`topology_leaves`] stores of each leaf: four caches, four levels, or three and the end. QEMU 10.0 aborts when a guest asks leaf
/// 0x1f for a subleaf after the end (target/i386/cpu.c, `encode_topo_cpuid1f`).
pub const SUBLEAVES: u32 = 4;
/// The leaves, in the order in which they are stored.
pub const TOPOLOGY_LEAVES: [u32; 5] = [0x4, 0xb, 0x1f, 0x8000_001d, 0x8000_0026];

/// Stores EAX, EBX, ECX, EDX of [`SUBLEAVES`] subleaves of each of [`TOPOLOGY_LEAVES`] at [`RESULT`], 16 bytes each, and exits with 0.
pub fn topology_leaves() -> MicroGuest {
    let at = RESULT.to_le_bytes();
    let start: Lines<'_> = &[(&[0xbf, at[0], at[1], at[2], at[3]], "mov  edi, RESULT"), (&[0xfc], "cld")];
    let end: Lines<'_> = &[(&[0xb0, 0x00], "mov  al, 0"), (&[0xe6, 0xf4], "out  0xf4, al")];
    let leaves = TOPOLOGY_LEAVES.into_iter().fold(MicroGuest::new(start), |guest, leaf| {
        let leaf = leaf.to_le_bytes();
        guest.then(&[
            (&[0x31, 0xf6], "      xor  esi, esi     ; subleaf"),
            (&[0xb8, leaf[0], leaf[1], leaf[2], leaf[3]], "next: mov  eax, leaf"),
            (&[0x89, 0xf1], "      mov  ecx, esi"),
            (&[0x0f, 0xa2], "      cpuid"),
            (&[0xab], "      stosd"),
            (&[0x89, 0xd8], "      mov  eax, ebx"),
            (&[0xab], "      stosd"),
            (&[0x89, 0xc8], "      mov  eax, ecx"),
            (&[0xab], "      stosd"),
            (&[0x89, 0xd0], "      mov  eax, edx"),
            (&[0xab], "      stosd"),
            (&[0x46], "      inc  esi"),
            (&[0x83, 0xfe, SUBLEAVES as u8], "      cmp  esi, SUBLEAVES"),
            (&[0x75, 0xe7], "      jne  next"),
        ])
    });
    leaves.then(end).then(HANG)
}

/// Loads the first word of the window at guest-physical `window`, stores it, incremented, in the window's second page, and exits
/// with 0. The window lies above 4 GiB, so the guest maps it: long mode's tables with 2 MiB pages, under code that stays 32-bit.
pub fn window(window: u64) -> MicroGuest {
    let root = TABLES.to_le_bytes();
    let first = WINDOW_VIEW.to_le_bytes();
    let second = (WINDOW_VIEW + PAGE_BYTES).to_le_bytes();
    let mut guest = MicroGuest::new(&[
        (&[0x0f, 0x20, 0xe0], "mov  eax, cr4"),
        (&[0x83, 0xc8, 0x20], "or   eax, 0x20  ; PAE"),
        (&[0x0f, 0x22, 0xe0], "mov  cr4, eax"),
        (&[0xb8, root[0], root[1], root[2], root[3]], "mov  eax, TABLES"),
        (&[0x0f, 0x22, 0xd8], "mov  cr3, eax"),
        (&[0xb9, 0x80, 0x00, 0x00, 0xc0], "mov  ecx, 0xc0000080 ; EFER"),
        (&[0x0f, 0x32], "rdmsr"),
        (&[0x0d, 0x00, 0x01, 0x00, 0x00], "or   eax, 0x100 ; LME"),
        (&[0x0f, 0x30], "wrmsr"),
        (&[0x0f, 0x20, 0xc0], "mov  eax, cr0"),
        (&[0x0d, 0x00, 0x00, 0x00, 0x80], "or   eax, 0x80000000  ; PG"),
        (&[0x0f, 0x22, 0xc0], "mov  cr0, eax"),
        (&[0xa1, first[0], first[1], first[2], first[3]], "mov  eax, [WINDOW_VIEW]"),
        (&[0x40], "inc  eax"),
        (&[0xa3, second[0], second[1], second[2], second[3]], "mov  [WINDOW_VIEW + 0x1000], eax"),
        (&[0xb0, 0x00], "mov  al, 0"),
        (&[0xe6, 0xf4], "out  0xf4, al"),
    ])
    .then(HANG);
    guest.others.push(Section { address: TABLES, bytes: page_tables(window) });
    guest
}

/// Four pages: the root, the table of its first 512 GiB, a directory that maps the first 2 MiB to themselves, a directory that maps
/// [`WINDOW_VIEW`] to `window`.
fn page_tables(window: u64) -> Vec<u8> {
    let (usable, large) = (0b11u64, 0x80u64);
    let page = |index: u32| u64::from(TABLES + index * PAGE_BYTES);
    let table = |entries: &[u64]| {
        let mut bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        bytes.resize(PAGE_BYTES as usize, 0);
        bytes
    };
    [
        table(&[page(1) | usable]),
        table(&[page(2) | usable, page(3) | usable]),
        table(&[usable | large]),
        table(&[window | usable | large]),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets of the backward jumps, which are computed by hand above.
    #[test]
    fn loops_jump_to_their_beginnings() {
        let jump = |code: &[u8], at: usize| (at + 2).wrapping_add_signed(isize::from(code[at + 1] as i8));
        let print = printing("x").code;
        assert_eq!(jump(&print, 13), 10, "wait");
        assert_eq!(jump(&print, 18), print.len(), "done");
        assert_eq!(jump(&print, print.len() - 2), 6, "next");
        let leaves = topology_leaves().code;
        assert_eq!(leaves[6 + 25], 0x75);
        assert_eq!(jump(&leaves, 6 + 25), 8, "next subleaf");
        let count = count().code;
        assert_eq!(jump(&count, 7), 1, "next");
    }

    #[test]
    fn an_image_holds_code_and_tables() {
        let image = window(0x1_0000_0000).image();
        assert_eq!(&image[0x1000..0x1003], b"\x0f\x20\xe0");
        assert_eq!(&image[0x5000..0x5008], &(0x1_0000_0083u64).to_le_bytes());
    }
}
