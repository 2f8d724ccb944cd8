//! The functions of the C library that the emulator finds here instead, and the few that they need.
#![allow(unsafe_code)]

use crate::gate::{Gate, STAND};
use core::ffi::{c_char, c_int, c_long, c_ulong, c_void, CStr};
use core::ptr::null;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

/// How long the main loop waits for CPUs that do not halt: then whoever asks the emulator for something has to be answered, and a
/// guest that ended the machine with one CPU is not to go on with the others. It could be early by then, but once in so
/// long instead of at every timer.
const PATIENCE_NS: i64 = 100_000_000;
/// What QEMU calls the thread of all CPUs (accel/tcg/tcg-accel-ops-rr.c), if it is told to name threads.
const CPUS: &CStr = c"ALL CPUs/TCG";

// Of Linux on x86-64.
const SYS_FUTEX: c_long = 202;
const FUTEX_WAIT_PRIVATE: c_int = 128;
const FUTEX_WAKE_PRIVATE: c_int = 129;
const PR_GET_NAME: c_int = 16;
const CLOCK_MONOTONIC: c_int = 1;
const RTLD_NEXT: *mut c_void = usize::MAX as *mut c_void;
const SECOND_NS: i64 = 1_000_000_000;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

// SAFETY: signatures of the C library on Linux, 64 bits; only pointers to what the callers below own are given to them.
unsafe extern "C" {
    fn abort() -> !;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn getpid() -> c_int;
    fn gettid() -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
}

/// How long the CPUs have stood still so far: time that the main loop waits beyond its patience.
pub(crate) static STOOD_NS: AtomicI64 = AtomicI64::new(0);
pub(crate) static GATE: Gate = Gate::new();

/// A function that is hidden by one of this module's.
pub(crate) struct Hidden {
    name: &'static CStr,
    address: AtomicUsize,
}

impl Hidden {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicUsize::new(0) }
    }

    pub(crate) fn address(&self) -> usize {
        let known = self.address.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        // SAFETY: the name is a C string, and RTLD_NEXT is a handle that is always there.
        let found = unsafe { dlsym(RTLD_NEXT, self.name.as_ptr()) } as usize;
        if found == 0 {
            // SAFETY: takes nothing. The emulator cannot run without the function.
            unsafe { abort() }
        }
        self.address.store(found, Ordering::Relaxed);
        found
    }
}

type Poll = unsafe extern "C" fn(*mut c_void, c_ulong, *const c_void, *const c_void) -> c_int;
type Wait = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type Wake = unsafe extern "C" fn(*mut c_void) -> c_int;

static PPOLL: Hidden = Hidden::new(c"ppoll");
static WAIT: Hidden = Hidden::new(c"pthread_cond_wait");
static SIGNAL: Hidden = Hidden::new(c"pthread_cond_signal");
static BROADCAST: Hidden = Hidden::new(c"pthread_cond_broadcast");

/// Behind it the main loop takes the emulator's lock; here it does not hold it.
///
/// # Safety
/// As `ppoll`.
#[no_mangle]
unsafe extern "C" fn ppoll(files: *mut c_void, count: c_ulong, timeout: *const c_void, mask: *const c_void) -> c_int {
    // SAFETY: the address is that of `ppoll`, and the arguments are the caller's.
    let ready = unsafe { core::mem::transmute::<usize, Poll>(PPOLL.address())(files, count, timeout, mask) };
    // An error, as by a signal, is handled at once; what says which one is not touched.
    // SAFETY: both only read.
    if ready >= 0 && unsafe { gettid() == getpid() } {
        let (end, stood) = (now() + PATIENCE_NS, STOOD_NS.load(Ordering::SeqCst));
        GATE.pass(|word, seen| {
            // Who goes on after standing wakes nobody.
            let again = now() + PATIENCE_NS;
            sleep(word, seen, if seen == STAND { again } else { end + STOOD_NS.load(Ordering::SeqCst) - stood })
        });
    }
    ready
}

/// # Safety
/// As `pthread_cond_wait`.
#[no_mangle]
unsafe extern "C" fn pthread_cond_wait(condition: *mut c_void, mutex: *mut c_void) -> c_int {
    let opened = if is_of_cpus() { GATE.cpus_wait(condition as usize) } else { None };
    if let Some(word) = opened {
        // SAFETY: the word is static.
        unsafe { syscall(SYS_FUTEX, word.as_ptr(), FUTEX_WAKE_PRIVATE, 1) };
    }
    // SAFETY: the address is that of `pthread_cond_wait`, and the arguments are the caller's.
    let result = unsafe { core::mem::transmute::<usize, Wait>(WAIT.address())(condition, mutex) };
    if opened.is_some() {
        GATE.cpus_run();
    }
    result
}

/// # Safety
/// As `pthread_cond_signal`.
#[no_mangle]
unsafe extern "C" fn pthread_cond_signal(condition: *mut c_void) -> c_int {
    GATE.wakes(condition as usize);
    // SAFETY: the address is that of `pthread_cond_signal`, and the argument is the caller's.
    unsafe { core::mem::transmute::<usize, Wake>(SIGNAL.address())(condition) }
}

/// # Safety
/// As `pthread_cond_broadcast`.
#[no_mangle]
unsafe extern "C" fn pthread_cond_broadcast(condition: *mut c_void) -> c_int {
    GATE.wakes(condition as usize);
    // SAFETY: the address is that of `pthread_cond_broadcast`, and the argument is the caller's.
    unsafe { core::mem::transmute::<usize, Wake>(BROADCAST.address())(condition) }
}

/// Whether the calling thread runs the CPUs.
pub(crate) fn is_of_cpus() -> bool {
    let mut name = [0_u8; 16];
    // SAFETY: PR_GET_NAME writes 16 bytes, the last one zero.
    unsafe { prctl(PR_GET_NAME, name.as_mut_ptr()) };
    CStr::from_bytes_until_nul(&name) == Ok(CPUS)
}

pub(crate) fn now() -> i64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: writes the time, which is ours.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    time.seconds * SECOND_NS + time.nanoseconds
}

/// Sleeps until `word` is another one than `seen`, or woken for nothing; false if it is `end`.
fn sleep(word: &AtomicU32, seen: u32, end: i64) -> bool {
    let left = end - now();
    if left <= 0 {
        return false;
    }
    let timeout = Timespec { seconds: left / SECOND_NS, nanoseconds: left % SECOND_NS };
    // SAFETY: the word is static, the timeout lives until the call returns.
    unsafe { syscall(SYS_FUTEX, word.as_ptr(), FUTEX_WAIT_PRIVATE, seen, &raw const timeout, null::<u32>(), 0) };
    true
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: takes nothing.
    unsafe { abort() }
}
