//! The end of the machine: one byte written to the debug exit port.

use super::port::{outb, Port};
use crate::console;
use ktstr_channel::ports::EXIT_PORT;
use rustix::system::RebootCommand;

/// Ends the machine with an exit code that the host sees. Where the machine has no debug exit, it is switched off and
/// the code stands on the console.
pub fn exit_machine(code: u8) -> ! {
    let written = outb(Port::Exit, code);
    console::say(&format!("no debug exit at port {EXIT_PORT:#x} ({written:?}); switching off with exit code {code}"));
    let refused = rustix::system::reboot(RebootCommand::PowerOff);
    console::say(&format!("the kernel did not switch off: {refused:?}"));
    // The end of process 1 is a kernel panic, which the host sees.
    std::process::exit(i32::from(code))
}
