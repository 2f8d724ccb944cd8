//! The back end `tcg`: QEMU without hardware virtualization, which works on any host.
//!
//! ```text
//! MachineSpec ──arguments──▶ command line ──process──▶ emulator ◀──qmp── commands, events
//!                                                        │
//!                              evidence (status, events, reset log, console) ──▶ Exit
//! ```
//!
//! One emulator process a machine. It is steered over a socket pair that it inherits, gets RAM and window as open files, and writes its
//! console and its logs into the machine's directory. It starts stopped and goes on when it has answered, or when it has taken the state
//! of a save (`restore`). Under the virtual clock a library is loaded into it that makes its main loop wait for its CPUs (`gate`),
//! and by which the machine stands still where the host wants to look ([`crate::Instants`]).

mod arguments;
mod backend;
mod emulator;
mod evidence;
mod gate;
mod launch;
mod machine;
mod private;
mod process;
mod qmp;
mod registers;
mod restore;
mod save;
mod spawn;
mod stub;

pub use backend::TcgBackend;
pub use emulator::Emulator;

/// Files in a machine's directory, by relative names: the emulator runs there, so that no path of it is too long or holds a comma.
mod files {
    pub(super) const CONSOLE: &str = "console";
    pub(super) const LOG: &str = "emulator.log";
    pub(super) const RESETS: &str = "resets.log";
}
