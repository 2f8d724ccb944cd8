//! The end of the machine: one byte written to the debug exit port.

use super::port::{outb, Port};
use crate::{clock, console};
use ktstr_channel::ports::EXIT_PORT;
use rustix::system::RebootCommand;

/// Guest time in which the host ends the machine once it was asked to. An emulator does that in another thread than the one that runs
/// the CPU, which goes on meanwhile.
const EXIT_NS: u64 = 3_000_000_000;

/// Ends the machine with an exit code that the host sees. Where the machine has no debug exit, it is switched off and
/// the code stands on the console.
pub fn exit_machine(code: u8) -> ! {
    let written = outb(Port::Exit, code);
    // Asleep: under the virtual clock the emulator's main loop waits for CPUs that run. It sees the request before it moves guest time
    // a second time.
    clock::sleep_until(clock::now().saturating_add(EXIT_NS));
    console::say(&format!("no debug exit at port {EXIT_PORT:#x} ({written:?}); switching off with exit code {code}"));
    let refused = rustix::system::reboot(RebootCommand::PowerOff);
    console::say(&format!("the kernel did not switch off: {refused:?}"));
    // The end of process 1 is a kernel panic, which the host sees.
    std::process::exit(i32::from(code))
}
