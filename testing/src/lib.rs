//! What tests share: micro-guests and the images that carry them.

pub mod elf;
pub mod history;
pub mod micro_guest;

pub use micro_guest::MicroGuest;
