//! Machines: what a back end must offer, and the back ends.
//!
//! ```text
//! MachineSpec ──MachineBackend::start──▶ Machine ──wait──▶ Exit
//!                                          ├─ console()    bytes of the first serial port
//!                                          ├─ memory()     guest-physical reads from outside
//!                                          ├─ registers()  every virtual CPU
//!                                          └─ instants()   guest times at which it stands still
//! MachineSpec ──MachineBackend::save───▶ SavedMachine ──Start::Saved──▶ MachineSpec of any number of machines
//! ```
//!
//! A machine boots a kernel image with a PVH entry (an ELF file), shows it the exact topology that was declared, and ends with one
//! [`Exit`] that says why. Or it starts where the guest of a save stopped itself ([`saved`]). It never outlives its owner: neither a
//! dropped [`Machine`] nor a killed process leaves one behind.
//!
//! To add a back end: implement [`MachineBackend`] and [`Machine`] in a folder of its own, declare its [`Capabilities`], and put it to
//! the conformance suite (`tests/conformance`).

pub mod capabilities;
pub mod command_line;
pub mod console;
pub mod error;
pub mod exit;
pub mod host_time;
pub mod instants;
pub mod kvm;
pub mod machine;
pub mod memory;
mod memory_map;
mod patience;
mod process_memory;
mod ram;
pub mod registers;
pub mod saved;
pub mod spec;
pub mod tcg;
mod window;

pub use capabilities::Capabilities;
pub use command_line::{command_line, has_kaslr};
pub use error::{MachineError, StartError};
pub use exit::Exit;
pub use host_time::HostTime;
pub use instants::{Instant, Instants};
pub use kvm::KvmBackend;
pub use machine::{Machine, MachineBackend};
pub use memory::{Gpa, GuestMemory, MemoryError};
pub use registers::CpuRegisters;
pub use saved::{SavedError, SavedMachine};
pub use spec::{MachineSpec, Start};
pub use tcg::{Emulator, TcgBackend};
