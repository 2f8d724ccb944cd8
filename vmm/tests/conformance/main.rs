//! What every back end must do, shown with micro-guests. The suite runs on the emulator that `KTSTR_EMULATOR` names: a JSON file with
//! the fields of `Emulator`, or the path of an installed `qemu-system-x86_64`. Without it the suite fails.
//!
//! To put another back end to it: make its `MachineBackend` in `harness.rs`.

#![allow(clippy::panic)] // All of this is test code; clippy sees that only inside of test functions.

mod ends;
mod harness;
mod observing;
mod ownership;
mod saved;
mod saved_refused;
mod start;
mod time;
mod topology;
