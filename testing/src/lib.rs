//! What tests share: micro-guests and the images that carry them.

pub mod btf;
pub mod elf;
pub mod history;
pub mod micro_guest;
pub mod sampled;

pub use btf::BtfWriter;
pub use micro_guest::MicroGuest;
pub use sampled::Sampled;
