//! The types that a kernel or a BPF object describes itself with (BTF, Documentation/bpf/btf.rst), and fields of them by path.
//!
//! ```text
//! bytes of .BTF ──Btf::parse──▶ Btf ──field("rq", "scx.local_dsq.nr")──▶ Field: hops, offset, shape
//! bytes read from memory, Field ──decode──▶ Value
//! ```
//!
//! A path is written as in the kernel's own code: `curr->se.vruntime`, `stats[3].nr`. Members of anonymous structs and unions belong to
//! what is around them. That a kernel lacks a type or a field is an answer of its own ([`FieldError::Absent`], [`present`]): versions differ.
//! Nothing here panics on damaged input: a record that leads nowhere is absent.

mod field;
mod leaves;
mod named;
mod path;
mod types;
mod value;

pub use field::{near, present, Field, FieldError, Member, Shape};
pub use named::Named;
pub use types::{Btf, BtfError, TypeId};
pub use value::Value;

#[cfg(test)]
mod tests;
