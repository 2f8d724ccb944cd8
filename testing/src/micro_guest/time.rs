//! Guests that look at the clock.

use super::{MicroGuest, CODE, HANG, RESULT};
use crate::elf::Section;

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

/// Where the tables of [`ticks`] are loaded: of interrupts, their descriptors, of segments.
const TABLES: u32 = 0x40_0000;
/// How many timer interrupts [`ticks`] takes.
pub const TICKS: u32 = 100;
const VECTOR: usize = 0x30;

/// Halts until its local APIC's timer interrupts it, every millisecond. Counts that in a word at [`RESULT`], stores the time stamp counter
/// behind it after [`TICKS`] of them, and exits with 0.
pub fn ticks() -> MicroGuest {
    let [count, stamp, high] = [RESULT, RESULT + 8, RESULT + 12].map(u32::to_le_bytes);
    let handler = CODE + 0x73;
    let mut guest = MicroGuest::new(&[
        (&[0xbc, 0x00, 0x00, 0x07, 0x00], "      mov  esp, 0x70000"),
        (&[0x0f, 0x01, 0x15, 0x00, 0x02, 0x40, 0x00], "      lgdt [TABLES + 0x200]"),
        (&[0xea, 0x13, 0x00, 0x10, 0x00, 0x08, 0x00], "      jmp  8:$+7"),
        (&[0xb8, 0x10, 0x00, 0x00, 0x00], "      mov  eax, 16"),
        (&[0x8e, 0xd8], "      mov  ds, eax"),
        (&[0x8e, 0xc0], "      mov  es, eax"),
        (&[0x8e, 0xd0], "      mov  ss, eax"),
        (&[0x0f, 0x01, 0x1d, 0x08, 0x02, 0x40, 0x00], "      lidt [TABLES + 0x208]"),
        (&[0xb0, 0xff], "      mov  al, 0xff"),
        (&[0xe6, 0x21], "      out  0x21, al     ; nothing through the old controllers"),
        (&[0xe6, 0xa1], "      out  0xa1, al"),
        (
            &[0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00],
            "      mov  dword ptr [SPURIOUS], 0x1ff   ; on",
        ),
        (
            &[0xc7, 0x05, 0xe0, 0x03, 0xe0, 0xfe, 0x0b, 0x00, 0x00, 0x00],
            "      mov  dword ptr [DIVIDE], 0xb       ; by 1",
        ),
        (
            &[0xc7, 0x05, 0x20, 0x03, 0xe0, 0xfe, VECTOR as u8, 0x00, 0x02, 0x00],
            "      mov  dword ptr [TIMER], VECTOR     ; periodic",
        ),
        (
            &[0xc7, 0x05, 0x80, 0x03, 0xe0, 0xfe, 0x40, 0x42, 0x0f, 0x00],
            "      mov  dword ptr [INITIAL], 1000000  ; ns",
        ),
        (&[0xfb], "      sti"),
        (&[0xf4], "wait: hlt"),
        (&[0x83, 0x3d, count[0], count[1], count[2], count[3], TICKS as u8], "      cmp  dword ptr [RESULT], TICKS"),
        (&[0x72, 0xf6], "      jb   wait"),
        (&[0xfa], "      cli"),
        (&[0x0f, 0x31], "      rdtsc"),
        (&[0xa3, stamp[0], stamp[1], stamp[2], stamp[3]], "      mov  [RESULT + 8], eax"),
        (&[0x89, 0x15, high[0], high[1], high[2], high[3]], "      mov  [RESULT + 12], edx"),
        (&[0xb0, 0x00], "      mov  al, 0"),
        (&[0xe6, 0xf4], "      out  0xf4, al"),
    ])
    .then(HANG)
    .then(&[
        (&[0xff, 0x05, count[0], count[1], count[2], count[3]], "tick: inc  dword ptr [RESULT]"),
        (&[0xc7, 0x05, 0xb0, 0x00, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x00], "      mov  dword ptr [EOI], 0"),
        (&[0xcf], "      iret"),
    ]);
    guest.others.push(Section { address: TABLES, bytes: tables(handler) });
    guest
}

/// Interrupt table with one gate, to `handler`; at 0x200 what describes both tables; at 0x220 flat segments for code and data.
fn tables(handler: u32) -> Vec<u8> {
    let gate = u64::from(handler & 0xffff) | 8 << 16 | 0x8e00 << 32 | u64::from(handler >> 16) << 48;
    let mut interrupts = vec![0; 0x40];
    interrupts[VECTOR] = gate;
    let descriptors = [23 | u64::from(TABLES + 0x220) << 16, 0x1ff | u64::from(TABLES) << 16, 0, 0];
    let segments = [0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff];
    interrupts.into_iter().chain(descriptors).chain(segments).flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_handler_is_where_the_gate_leads() {
        let code = super::ticks().code;
        assert_eq!(code[0x13], 0xb8, "behind the far jump");
        assert_eq!(code[0x54], 0xf4, "wait");
        assert_eq!(code[0x73..0x75], [0xff, 0x05], "tick");
    }
}
