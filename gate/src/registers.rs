//! Registers of all CPUs, which stand still.
//!
//! ```text
//! number of CPUs   ──▶ host   zero: this emulator does not show them
//! numbers of a CPU ──▶ host   for each, in order: 1 if it has halted and nothing wakes it, then those of `SHOWN`
//! ```
//!
//! The emulator shows them to debuggers. In a round no CPU is in the middle of a block of code, so what it shows is where each one goes on. It only
//! reads (QEMU 10.0, gdbstub/gdbstub.c; target/i386/gdbstub.c), and whether a CPU has halted it asks itself in each round (system/cpus.c).
#![allow(unsafe_code)]

use crate::instants::find;
use core::ffi::{c_int, c_uint, c_void};
use core::mem::transmute;

/// Numbers of the debugger's protocol for x86-64 (gdb-xml/i386-64bit.xml): rip, rsp, rbp, eflags, cs, cr0, cr2, cr3, cr4.
const SHOWN: [c_int; 9] = [16, 7, 6, 17, 18, 27, 28, 29, 30];
const WORDS: usize = 1 + SHOWN.len();

/// `GByteArray`.
#[repr(C)]
struct Bytes {
    data: *const u8,
    length: c_uint,
}

struct Emulator {
    /// `CPUState *qemu_get_cpu(int index)`: null behind the last one.
    cpu: unsafe extern "C" fn(c_int) -> *mut c_void,
    /// `bool cpu_thread_is_idle(CPUState *cpu)`.
    idle: unsafe extern "C" fn(*mut c_void) -> bool,
    /// `int gdb_read_register(CPUState *cpu, GByteArray *buf, int reg)`: appends the register; gives its length, or zero.
    read: unsafe extern "C" fn(*mut c_void, *mut Bytes, c_int) -> c_int,
    new: unsafe extern "C" fn() -> *mut Bytes,
    resize: unsafe extern "C" fn(*mut Bytes, c_uint) -> *mut Bytes,
    free: unsafe extern "C" fn(*mut Bytes),
}

/// Says all; false: nobody hears it.
pub(crate) fn tell(say: impl Fn(&[u64]) -> bool) -> bool {
    let Some(emulator) = Emulator::here() else { return say(&[0]) };
    // SAFETY: it goes through a list that only changes under the emulator's lock, which this thread holds.
    let cpu = |number| Some(unsafe { (emulator.cpu)(number) }).filter(|cpu| !cpu.is_null());
    let cpus = || (0..c_int::MAX).map_while(cpu);
    // SAFETY: takes nothing; the emulator ends if there is no memory.
    let bytes = unsafe { (emulator.new)() };
    let heard = say(&[cpus().count() as u64]) && cpus().all(|cpu| say(&emulator.words(cpu, bytes)));
    // SAFETY: the array is ours, and is not used again.
    unsafe { (emulator.free)(bytes) };
    heard
}

impl Emulator {
    fn here() -> Option<Self> {
        let [cpu, idle, read] = [c"qemu_get_cpu", c"cpu_thread_is_idle", c"gdb_read_register"].map(find);
        let [new, resize, free] = [c"g_byte_array_new", c"g_byte_array_set_size", c"g_byte_array_unref"].map(find);
        if [cpu, idle, read, new, resize, free].contains(&0) {
            return None;
        }
        // SAFETY: the addresses are those of functions of these types.
        unsafe {
            Some(Self {
                cpu: transmute::<usize, unsafe extern "C" fn(c_int) -> *mut c_void>(cpu),
                idle: transmute::<usize, unsafe extern "C" fn(*mut c_void) -> bool>(idle),
                read: transmute::<usize, unsafe extern "C" fn(*mut c_void, *mut Bytes, c_int) -> c_int>(read),
                new: transmute::<usize, unsafe extern "C" fn() -> *mut Bytes>(new),
                resize: transmute::<usize, unsafe extern "C" fn(*mut Bytes, c_uint) -> *mut Bytes>(resize),
                free: transmute::<usize, unsafe extern "C" fn(*mut Bytes)>(free),
            })
        }
    }

    fn words(&self, cpu: *mut c_void, bytes: *mut Bytes) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        // SAFETY: the CPU is one of the emulator's.
        words[0] = u64::from(unsafe { (self.idle)(cpu) });
        for (word, number) in words[1..].iter_mut().zip(SHOWN) {
            let mut content = [0; size_of::<u64>()];
            // SAFETY: the CPU is one of the emulator's, the array is ours, and as long as it says. What is copied is no longer than either.
            unsafe {
                (self.resize)(bytes, 0);
                (self.read)(cpu, bytes, number);
                (*bytes).data.copy_to(content.as_mut_ptr(), content.len().min((*bytes).length as usize));
            }
            *word = u64::from_le_bytes(content);
        }
        words
    }
}
