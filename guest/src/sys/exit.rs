//! The end of the machine: one byte written to the debug exit port.

#![allow(unsafe_code)]

use crate::console;
use rustix::system::RebootCommand;

/// I/O port of the debug exit device (isa-debug-exit).
pub const EXIT_PORT: u16 = 0xf4;

/// Ends the machine with an exit code that the host sees. Where the machine has no debug exit, it is switched off and
/// the code stands on the console.
pub fn exit_machine(code: u8) -> ! {
    outb(EXIT_PORT, code);
    console::say(&format!("no debug exit at port {EXIT_PORT:#x}; switching off with exit code {code}"));
    let refused = rustix::system::reboot(RebootCommand::PowerOff);
    console::say(&format!("the kernel did not switch off: {refused:?}"));
    // The end of process 1 is a kernel panic, which the host sees.
    std::process::exit(i32::from(code))
}

/// Writes a byte to an I/O port, if the kernel allows it.
fn outb(port: u16, value: u8) {
    // SAFETY: ioperm only changes which ports this thread may use.
    if unsafe { libc::ioperm(libc::c_ulong::from(port), 1, 1) } != 0 {
        console::say(&format!("no access to port {port:#x}: {}", std::io::Error::last_os_error()));
        return;
    }
    // SAFETY: the port belongs to the debug exit device, which ends the machine; where there is no such device, the
    // write goes nowhere. Memory is not touched.
    unsafe { std::arch::asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}
