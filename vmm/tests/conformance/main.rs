//! What every back end must do, shown with micro-guests. `KTSTR_BACKEND` is `kvm`, or `tcg`, which is the default: then the suite runs on the
//! emulator that `KTSTR_EMULATOR` names, a JSON file with the fields of `Emulator`, or the path of an installed `qemu-system-x86_64`.
//! Without it the suite fails.
//!
//! Both must do the same, but for these:
//!
//! | case | kvm | tcg | because |
//! | --- | --- | --- | --- |
//! | all under the virtual clock (`ends`, `instants`, `observing`, `saved`, `time`) | not offered, and refused | runs | the hardware counts no instructions for us |
//! | `saved::it_can_be_paused_looked_at_and_stopped`: private memory after the end | can be read | is gone | it is this process's, or was another's |
//! | `saved_refused`: the words for what does not fit | topology, CPUID | options of the emulator | that is what the machine is made of |
//! | `start`: an emulator that is missing or is none | nothing to miss | refused | |
//! | `topology`: where a CPU tells of its levels | the host's vendor decides: leaf 0x1f, or AMD's 0x80000026 | leaf 0x1f | a guest picks its code by the vendor |
//! | exit codes above 127 | arrive | do not | the emulator's exit status is a byte |
//!
//! To put another back end to it: make its `MachineBackend` in `harness.rs`.
#![allow(clippy::panic)] // All of this is test code; clippy sees that only inside of test functions.

mod ends;
mod harness;
mod instants;
mod observing;
mod ownership;
mod placement;
mod saved;
mod saved_refused;
mod start;
mod time;
mod topology;
