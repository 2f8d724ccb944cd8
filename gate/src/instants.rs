//! The instants at which the emulator stands still, so that the host can look at guest memory.
//!
//! Whoever starts the emulator names one end of a socket in [`SOCKET`] and has the other. All messages are numbers of 64 bits:
//!
//! ```text
//! 0              ──▶ host   once, when the emulator was loaded: it can stand still
//! guest time now ──▶ host   it stands still
//! 0              ◀── host   what are the registers? Then they follow (`registers`), and it still stands
//! any other      ◀── host   it goes on, and stands again as soon as guest time is this
//! ```
//!
//! A host that is gone is one that never wants to look again.
//!
//! The place is the beginning of a round of the thread of all CPUs, where that thread takes `qemu_cpu_list_lock` to count them: no
//! CPU runs, all instructions are counted, it holds the emulator's lock, so that no device moves, and timers that are due have not been
//! run (QEMU 10.0, accel/tcg/tcg-accel-ops-rr.c, `rr_cpu_thread_fn`). All others that take the lock in this thread do so without the
//! emulator's lock (cpu-common.c, `start_exclusive` and what is beside it). Guest time and the guest cannot tell how long it stands.
#![allow(unsafe_code)]

use crate::interposed::{is_of_cpus, now as monotonic, Hidden, GATE, STOOD_NS};
use crate::registers;
use core::ffi::{c_char, c_int, c_void, CStr};
use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst};

const SOCKET: &CStr = c"KTSTR_INSTANTS";
const NEVER: u64 = u64::MAX;
const REGISTERS: u64 = 0;

// Of Linux on x86-64.
const MSG_WAITALL: c_int = 0x100;
const MSG_NOSIGNAL: c_int = 0x4000;
const RTLD_DEFAULT: *mut c_void = null_mut();

// SAFETY: signatures of the C library on Linux, 64 bits; only pointers to what the callers below own are given to them.
unsafe extern "C" {
    fn atoi(text: *const c_char) -> c_int;
    fn close(file: c_int) -> c_int;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn getenv(name: *const c_char) -> *const c_char;
    fn recv(socket: c_int, bytes: *mut u64, length: usize, flags: c_int) -> isize;
    fn send(socket: c_int, bytes: *const u64, length: usize, flags: c_int) -> isize;
}

/// `int64_t icount_get(void)`: guest time in nanoseconds.
type Time = unsafe extern "C" fn() -> i64;
/// `bool bql_locked(void)`: whether this thread holds the emulator's lock.
type Locked = unsafe extern "C" fn() -> bool;
type Lock = unsafe extern "C" fn(*mut c_void) -> c_int;

static LOCK: Hidden = Hidden::new(c"pthread_mutex_lock");
/// Address of the emulator's `qemu_cpu_list_lock`; zero if nobody wants to look.
static LIST: AtomicUsize = AtomicUsize::new(0);
static TIME: AtomicUsize = AtomicUsize::new(0);
static LOCKED: AtomicUsize = AtomicUsize::new(0);
static HOST: AtomicI32 = AtomicI32::new(-1);
/// The first time is the one at which the machine starts.
static DUE: AtomicU64 = AtomicU64::new(0);

/// Called by the dynamic loader, also in a script that is to start the emulator: there the names are missing, and nothing is said.
#[used]
#[link_section = ".init_array"]
static LOADED: extern "C" fn() = loaded;

extern "C" fn loaded() {
    // SAFETY: the name is a C string, and so is the text, which nobody has changed yet.
    let socket = unsafe {
        let text = getenv(SOCKET.as_ptr());
        if text.is_null() {
            -1
        } else {
            atoi(text)
        }
    };
    let [list, time, locked] = [c"qemu_cpu_list_lock", c"icount_get", c"bql_locked"].map(find);
    if socket < 0 || [list, time, locked].contains(&0) || !tell(socket, &[0]) {
        return;
    }
    HOST.store(socket, SeqCst);
    TIME.store(time, SeqCst);
    LOCKED.store(locked, SeqCst);
    LIST.store(list, SeqCst);
}

/// # Safety
/// As `pthread_mutex_lock`.
#[no_mangle]
unsafe extern "C" fn pthread_mutex_lock(mutex: *mut c_void) -> c_int {
    // A mutex is somewhere, so none is at zero.
    if mutex as usize == LIST.load(SeqCst) {
        look();
    }
    // SAFETY: the address is that of `pthread_mutex_lock`, and the argument is the caller's.
    unsafe { transmute::<usize, Lock>(LOCK.address())(mutex) }
}

/// Stands still if this is the place and the time for it.
fn look() {
    let (time, locked) = (TIME.load(SeqCst), LOCKED.load(SeqCst));
    // SAFETY: the addresses are those of the functions. In this order: no CPU runs in a thread that holds the emulator's lock here,
    // and asking for the time while one runs may end the emulator.
    let now = unsafe { transmute::<usize, Locked>(locked)().then(|| transmute::<usize, Time>(time)()) };
    let Some(now) = now.and_then(|now| u64::try_from(now).ok()) else { return };
    if now < DUE.load(SeqCst) || !is_of_cpus() {
        return;
    }
    let begin = monotonic();
    GATE.cpus_stand();
    DUE.store(ask(HOST.load(SeqCst), now).unwrap_or(NEVER), SeqCst);
    STOOD_NS.fetch_add(monotonic() - begin, SeqCst);
    GATE.cpus_run();
}

/// Tells the host that it is `now`, and all that it asks; gives the time that it wants. Without an answer the socket is closed, so that the host knows.
fn ask(host: c_int, now: u64) -> Option<u64> {
    let mut answer = tell(host, &[now]).then(|| hear(host)).flatten();
    while answer == Some(REGISTERS) {
        answer = registers::tell(|words| tell(host, words)).then(|| hear(host)).flatten();
    }
    if answer.is_none() {
        // SAFETY: the socket is ours, and is not used again.
        unsafe { close(host) };
    }
    answer
}

fn hear(host: c_int) -> Option<u64> {
    let mut number = NEVER;
    let length = size_of_val(&number);
    // SAFETY: `number` is as long as is said.
    let heard = unsafe { recv(host, &raw mut number, length, MSG_WAITALL) } == length as isize;
    heard.then_some(number)
}

fn tell(host: c_int, numbers: &[u64]) -> bool {
    let length = size_of_val(numbers);
    // SAFETY: `numbers` are as long as is said.
    unsafe { send(host, numbers.as_ptr(), length, MSG_NOSIGNAL) == length as isize }
}

/// Address of what has this name in the emulator or a library of it; zero: nothing.
pub(crate) fn find(name: &CStr) -> usize {
    // SAFETY: the name is a C string, and RTLD_DEFAULT is a handle that is always there.
    unsafe { dlsym(RTLD_DEFAULT, name.as_ptr()) as usize }
}
