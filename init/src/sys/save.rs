//! The instruction at which a machine is saved.

use super::port::{outb, Port};
use ktstr_channel::ports::SAVE_VALUE;
use std::io;

/// Stops the machine, which is saved then. Comes back in each machine that starts from the save, and at once in a machine that was
/// not booted to be saved.
///
/// # Errors
/// The kernel does not give access to the port.
pub fn stop_to_be_saved() -> io::Result<()> {
    outb(Port::Save, SAVE_VALUE)
}
