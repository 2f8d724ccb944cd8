//! Guests that stop themselves for a save.

use super::{printing, Lines, MicroGuest, HANG, RESULT};

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
