//! System calls and instructions that neither `std` nor rustix offers in a safe form. All unsafe code of this crate is in here,
//! one file a subject; what these files export is safe to call.

pub mod exit;
mod port;
pub mod save;
pub mod window;
