//! What a machine of the back end `kvm` tells its guest, decoded by programs that are not ours: its ACPI tables by ACPICA's `iasl`, its CPUID by
//! Todd Allen's `cpuid`. Both must find the machine that was declared.

#![allow(clippy::panic)] // All of this is test code; clippy sees that only inside of test functions.

mod acpi;
mod cpuid;
mod declared;
mod decoders;
