//! The back end `kvm`: our own machine on the host's hardware virtualization.
//!
//! ```text
//! MachineSpec ──memory──▶ mapped files ──arch──▶ loaded kernel, CPUs as declared
//!                                                  │
//!               control ◀──vcpu── a thread a CPU ◀─┘  ──devices──▶ console, Ending
//!                  │
//!               machine: wait, pause, stop ──▶ Exit
//! ```
//!
//! A machine is threads and mappings of this process: it goes when its owner goes. It has what a scheduler test needs and nothing else: CPUs,
//! memory, the interrupt controllers that KVM has itself, a serial port, and the ports by which a guest ends, resets or stops itself.
//! There is no PCI, no firmware and no timer besides the CPUs' own.
//!
//! What depends on the architecture is behind `arch::Architecture`. [`tables_of`] and [`cpuid_of`] are what a machine tells its guest of itself,
//! as pure functions of the topology, for the machine and for whoever wants to decode them.

mod arch;
mod backend;
mod control;
mod devices;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod genuine;
mod host;
mod machine;
mod memory;
mod pin;
mod registers;
mod save;
mod vcpu;

pub use arch::x86_64::acpi::{tables as tables_of, AcpiTables, NodeMemory};
pub use arch::x86_64::cpuid::for_cpu as cpuid_of;
pub use backend::KvmBackend;
