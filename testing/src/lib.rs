//! What tests share: micro-guests and the images that carry them, types as a kernel describes them, cases, and recordings of what a guest may say.

pub mod btf;
pub mod elf;
pub mod history;
pub mod micro_guest;
pub mod module;
pub mod plain;
pub mod sampled;

pub use btf::BtfWriter;
pub use micro_guest::MicroGuest;
pub use module::{known_module, ModuleFacts};
pub use plain::plain_case;
pub use sampled::Sampled;
