//! Guests that stop themselves for a save.

use super::{printing, Lines, MicroGuest, HANG, RESULT};
use crate::elf::Section;

/// Where such guests keep what they had before the save.
pub const KEPT: u32 = RESULT + 0x1000;

/// Writes to the save's port.
const SAVE: Lines<'_> =
    &[(&[0x66, 0xba, 0x05, 0x05], "mov  dx, 0x505"), (&[0xb0, 0x01], "mov  al, 1"), (&[0xee], "out  dx, al")];

/// What [`saves_then`] leaves at [`KEPT`] before it stops itself.
pub const KEPT_VALUE: u32 = 0x5a7e_5a00;

/// Stores [`KEPT_VALUE`] at [`KEPT`], writes an `S` to the first serial port, stops itself for a save and goes on as `rest`.
pub fn save_then(rest: &MicroGuest) -> MicroGuest {
    let (at, value) = (KEPT.to_le_bytes(), KEPT_VALUE.to_le_bytes());
    let mut guest = MicroGuest::new(&[
        (
            &[0xc7, 0x05, at[0], at[1], at[2], at[3], value[0], value[1], value[2], value[3]],
            "mov  dword ptr [KEPT], KEPT_VALUE",
        ),
        (&[0x66, 0xba, 0xf8, 0x03], "mov  dx, 0x3f8"),
        (&[0xb0, b'S'], "mov  al, 'S'"),
        (&[0xee], "out  dx, al"),
    ])
    .then(SAVE);
    guest.code.extend(&rest.code);
    guest.others.extend(rest.others.iter().cloned());
    guest
}

/// Adds 1 to [`KEPT`], stops itself for a save and goes on as `rest`.
pub fn add_and_save_then(rest: &MicroGuest) -> MicroGuest {
    let at = KEPT.to_le_bytes();
    let add: (&[u8], &str) = (&[0xff, 0x05, at[0], at[1], at[2], at[3]], "inc  dword ptr [KEPT]");
    let mut guest = MicroGuest::new(&[add]).then(SAVE);
    guest.code.extend(&rest.code);
    guest.others.extend(rest.others.iter().cloned());
    guest
}

/// Writes `text` to the first serial port and stops itself for a save.
pub fn print_and_save(text: &str) -> MicroGuest {
    printing(text).then(SAVE).then(HANG)
}

/// Adds 1 to the word at [`KEPT`] and exits with the low 7 bits of the sum.
pub fn add_to_kept() -> MicroGuest {
    let at = KEPT.to_le_bytes();
    MicroGuest::new(&[
        (&[0xff, 0x05, at[0], at[1], at[2], at[3]], "inc  dword ptr [KEPT]"),
        (&[0xa1, at[0], at[1], at[2], at[3]], "mov  eax, [KEPT]"),
        (&[0x24, 0x7f], "and  al, 0x7f"),
        (&[0xe6, 0xf4], "out  0xf4, al"),
    ])
    .then(HANG)
}

/// Where the second CPU of [`save_beside_a_count`] counts: it is in real mode, and reaches no more.
pub const COUNT: u32 = 0x9000;
/// How far it counts: for longer than it takes to wake a thread of the host, and for much less than a hundredth of a second.
pub const COUNTED: u32 = 20_000;
/// Where the code of the second CPU is loaded; firmware uses the memory where it has to be.
const SECOND: u32 = 0x40_0000;

/// Starts the second CPU, which counts to [`COUNTED`] and halts, and stops itself for a save at once.
pub fn save_beside_a_count() -> MicroGuest {
    let (count, times, from) = (COUNT.to_le_bytes(), COUNTED.to_le_bytes(), SECOND.to_le_bytes());
    // 16-bit code.
    let second = MicroGuest::new(&[
        (&[0x66, 0xb9, times[0], times[1], times[2], times[3]], "      mov  ecx, COUNTED"),
        (&[0x66, 0xff, 0x06, count[0], count[1]], "next: inc  dword ptr [COUNT]"),
        (&[0x66, 0x49], "      dec  ecx"),
        (&[0x75, 0xf7], "      jnz  next"),
        (&[0xfa], "      cli"),
        (&[0xf4], "      hlt"),
        (&[0xeb, 0xfd], "      jmp  $-1"),
    ]);
    let mut guest = MicroGuest::new(&[
        (&[0xbe, from[0], from[1], from[2], from[3]], "mov  esi, SECOND"),
        (&[0xbf, 0x00, 0x80, 0x00, 0x00], "mov  edi, 0x8000"),
        (&[0xb9, second.code.len() as u8, 0x00, 0x00, 0x00], "mov  ecx, (length)"),
        (&[0xf3, 0xa4], "rep movsb"),
        (&[0xc7, 0x05, count[0], count[1], count[2], count[3], 0, 0, 0, 0], "mov  dword ptr [COUNT], 0"),
        // To all others: INIT, and the start at the page of the code (Intel SDM vol. 3A, 11.6).
        (&[0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00], "mov  dword ptr [0xfee00300], 0xc4500"),
        (&[0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x0c, 0x00], "mov  dword ptr [0xfee00300], 0xc4608"),
    ])
    .then(SAVE)
    .then(HANG);
    guest.others.push(Section { address: SECOND, bytes: second.code });
    guest
}
