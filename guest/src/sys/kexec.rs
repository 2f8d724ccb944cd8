//! A machine that hangs, made with the kernel's own means: kexec into two instructions.

#![allow(unsafe_code)]

use rustix::system::RebootCommand;
use std::io;

/// ```text
/// fa      cli
/// eb fe   jmp .
/// ```
const HANG: [u8; 3] = [0xfa, 0xeb, 0xfe];
/// Where the instructions go: RAM on every machine, above everything the firmware uses.
const HANG_ADDRESS: usize = 32 << 20;
const PAGE: usize = 4096;

/// `struct kexec_segment`, include/uapi/linux/kexec.h.
#[repr(C)]
struct Segment {
    buffer: *const u8,
    buffer_bytes: usize,
    address: usize,
    address_bytes: usize,
}

/// Stops all CPUs but one and lets that one loop with interrupts off. Only comes back if the kernel refuses.
pub fn hang() -> io::Error {
    let segment =
        Segment { buffer: HANG.as_ptr(), buffer_bytes: HANG.len(), address: HANG_ADDRESS, address_bytes: PAGE };
    // SAFETY: the kernel copies HANG and the one segment that describes it before the call returns.
    let loaded = unsafe {
        libc::syscall(libc::SYS_kexec_load, HANG_ADDRESS, 1 as libc::c_ulong, &raw const segment, 0 as libc::c_ulong)
    };
    if loaded != 0 {
        return io::Error::last_os_error();
    }
    match rustix::system::reboot(RebootCommand::Kexec) {
        Ok(()) => io::Error::other("reboot(KEXEC) came back"),
        Err(error) => error.into(),
    }
}
