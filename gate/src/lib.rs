//! A library that is loaded into the emulator under the virtual clock, so that equal cases run equally: its main loop goes on only
//! while its CPUs wait.
//!
//! Under the virtual clock one thread runs all CPUs in turn and counts their instructions; another one, the main loop, moves the
//! clock to the next timer when all CPUs have halted. The main loop looks whenever a timer was due, thousands of times in a second.
//! A CPU is marked as halted *before* the instructions of its turn are counted (QEMU 10.0: `helper_hlt`, then
//! `icount_process_data`). If the main loop looks in between, it moves a clock that is too early by a turn, and the turn is added
//! on top (accel/tcg/icount-common.c, `icount_start_warp_timer`).
//!
//! ```text
//! main loop:  ppoll ──▶ gate ──▶ lock, look, perhaps move the clock ──▶ ppoll
//! CPUs:       run, halt, count ──▶ notify the main loop ──▶ wait ═══▶ opens the gate
//! ```
//!
//! It is also where the host can look: at chosen instants of guest time the thread of the CPUs stands still until the host lets it go
//! on (`instants`), and the guest cannot tell.
//!
//! The emulator is not changed: the dynamic loader finds these functions before those of the C library. `vmm` compiles this crate
//! into a shared library that it carries (`vmm/build.rs`). It uses nothing but the C library, so that it loads with any.
#![cfg_attr(not(test), no_std)]

mod gate;
#[cfg(not(test))]
mod instants;
#[cfg(not(test))]
mod interposed;
#[cfg(not(test))]
mod registers;
