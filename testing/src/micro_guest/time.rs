//! Guests that look at the clock.

use super::{MicroGuest, HANG, RESULT};

/// Stores the time stamp counter before and after a loop of a million instructions, as two 64-bit words at [`RESULT`].
fn timing() -> MicroGuest {
    let at = RESULT.to_le_bytes();
    MicroGuest::new(&[
        (&[0xbf, at[0], at[1], at[2], at[3]], "mov  edi, RESULT"),
        (&[0xfc], "cld"),
        (&[0x0f, 0x31], "rdtsc"),
        (&[0xab], "stosd"),
        (&[0x89, 0xd0], "mov  eax, edx"),
        (&[0xab], "stosd"),
        (&[0xb9, 0x40, 0x42, 0x0f, 0x00], "mov  ecx, 1000000"),
        (&[0xe2, 0xfe], "loop $"),
        (&[0x0f, 0x31], "rdtsc"),
        (&[0xab], "stosd"),
        (&[0x89, 0xd0], "mov  eax, edx"),
        (&[0xab], "stosd"),
    ])
}

/// Stores the time stamp counter before and after a loop of a million instructions, as two 64-bit words at [`RESULT`], and exits with 0.
pub fn time() -> MicroGuest {
    timing().then(&[(&[0xb0, 0x00], "mov  al, 0"), (&[0xe6, 0xf4], "out  0xf4, al")]).then(HANG)
}

/// As [`time`], but hangs.
pub fn time_and_hang() -> MicroGuest {
    timing().then(HANG)
}
