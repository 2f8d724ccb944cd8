//! A guest whose CPUs are at known places.

use super::{MicroGuest, RESULT};
use crate::elf::Section;

/// Stack and frame pointer of the first CPU of [`places`].
pub const FIRST_POINTERS: [u64; 2] = [0x0011_1100, 0x0022_2200];
/// Those of each other CPU.
pub const OTHER_POINTERS: [u64; 2] = [0x0033_3300, 0x0044_4400];
/// Where each other CPU is, in the segment that begins at 0x8000.
pub const OTHER_PLACE: u64 = 0xd;

/// What the other CPUs run, in real mode.
const OTHER: [u8; 15] = [
    0xfa, // cli
    0x66, 0xbc, 0x00, 0x33, 0x33, 0x00, // mov  esp, 0x333300
    0x66, 0xbd, 0x00, 0x44, 0x44, 0x00, // mov  ebp, 0x444400
    0xeb, 0xfe, // jmp  $
];

/// Starts all CPUs; each of them then spins with interrupts off: the first one at the last instruction.
pub fn places() -> MicroGuest {
    let at = RESULT.to_le_bytes();
    let mut guest = MicroGuest::new(&[
        (&[0xbe, at[0], at[1], at[2], at[3]], "mov  esi, RESULT"),
        (&[0xbf, 0x00, 0x80, 0x00, 0x00], "mov  edi, 0x8000"),
        (&[0xb9, OTHER.len() as u8, 0x00, 0x00, 0x00], "mov  ecx, 15"),
        (&[0xfc], "cld"),
        (&[0xf3, 0xa4], "rep movsb"),
        (
            &[0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00],
            "mov  dword ptr [COMMAND], 0xc4500 ; all others: reset",
        ),
        (
            &[0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x0c, 0x00],
            "mov  dword ptr [COMMAND], 0xc4608 ; and begin at 0x8000",
        ),
        (&[0xbc, 0x00, 0x11, 0x11, 0x00], "mov  esp, 0x111100"),
        (&[0xbd, 0x00, 0x22, 0x22, 0x00], "mov  ebp, 0x222200"),
        (&[0xfa], "cli"),
        (&[0xeb, 0xfe], "jmp  $"),
    ]);
    guest.others.push(Section { address: RESULT, bytes: OTHER.into() });
    guest
}
