//! System calls that neither `std` nor rustix offers in a safe form. All unsafe code of the guest is in here, one file a
//! subject; what these files export is safe to call.

pub mod cpu_time;
pub mod entropy;
pub mod kexec;
pub mod process;
pub mod shared;
