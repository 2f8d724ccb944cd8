//! Attaches the scheduler of `bpf/tiny.bpf.c` until SIGINT or SIGTERM, with libbpf's C interface: no crate is needed.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::io;
use std::process::ExitCode;
use std::ptr;

/// Compiled by the BUILD file.
const OBJECT: &[u8] = include_bytes!(env!("TINY_BPF_OBJECT"));

#[link(name = "bpf")]
extern "C" {
    fn bpf_object__open_mem(bytes: *const c_void, size: usize, options: *const c_void) -> *mut c_void;
    fn bpf_object__load(object: *mut c_void) -> c_int;
    fn bpf_object__find_map_by_name(object: *const c_void, name: *const c_char) -> *mut c_void;
    fn bpf_map__attach_struct_ops(map: *const c_void) -> *mut c_void;
    fn bpf_link__destroy(link: *mut c_void) -> c_int;
    fn bpf_object__close(object: *mut c_void);
}

/// As in glibc.
type SignalSet = [u64; 16];
const SIG_BLOCK: c_int = 0;
const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;

extern "C" {
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn sigprocmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn sigwait(set: *const SignalSet, signal: *mut c_int) -> c_int;
}

fn check(what: &str, succeeded: bool) -> Result<(), String> {
    // libbpf sets errno, too.
    succeeded.then_some(()).ok_or_else(|| format!("could not {what} the scheduler: {}", io::Error::last_os_error()))
}

fn run(name: &CStr) -> Result<(), String> {
    // A copy, because libelf wants it aligned.
    let object = OBJECT.to_vec();
    let mut ending: SignalSet = [0; 16];
    let mut signal = 0;
    // SAFETY: every pointer is one that libbpf has just returned, and is not null, or points to something that lives longer than the call.
    unsafe {
        // Blocked before the attach: one that comes meanwhile waits, too.
        sigemptyset(&mut ending);
        sigaddset(&mut ending, SIGINT);
        sigaddset(&mut ending, SIGTERM);
        sigprocmask(SIG_BLOCK, &ending, ptr::null_mut());

        let object = bpf_object__open_mem(object.as_ptr().cast(), object.len(), ptr::null());
        check("open", !object.is_null())?;
        check("load", bpf_object__load(object) == 0)?;
        let map = bpf_object__find_map_by_name(object, name.as_ptr());
        check("find", !map.is_null())?;
        let link = bpf_map__attach_struct_ops(map);
        check("attach", !link.is_null())?;
        println!("attached; SIGINT detaches");
        sigwait(&ending, &mut signal);
        check("detach", bpf_link__destroy(link) == 0)?;
        bpf_object__close(object);
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(c"tiny") {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("scx_tiny: {problem}");
            ExitCode::FAILURE
        }
    }
}
