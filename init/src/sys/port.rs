//! I/O ports of the machine's own devices.

#![allow(unsafe_code)]

use std::io;

/// Devices that do nothing to memory: the machine's debug exit and its save. No other port can be named.
#[derive(Debug, Clone, Copy)]
#[repr(u16)]
pub(super) enum Port {
    Exit = ktstr_channel::ports::EXIT_PORT,
    Save = ktstr_channel::ports::SAVE_PORT,
}

/// Writes a byte to a port. Where there is no such device, the write goes nowhere.
///
/// # Errors
/// That of ioperm(2): the kernel does not give access to ports.
pub(super) fn outb(port: Port, value: u8) -> io::Result<()> {
    let port = port as u16;
    // SAFETY: ioperm only changes which ports this thread may use.
    if unsafe { libc::ioperm(libc::c_ulong::from(port), 1, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the ports that can be named belong to devices that end or stop the machine. Memory is not touched.
    unsafe { std::arch::asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
    Ok(())
}
