//! The recording of a case: one file with everything that is known of it, written while it runs and read by the judge.
//!
//! ```text
//! runner: Case, Event, HostEvent, console ──Writer──▶ file ──Recording──▶ judge, report
//! Recording, Recording ──compare──▶ Comparison
//! ```
//!
//! The file is append-only and each record has a checksum, so that whatever ends the writer, everything up to there can be
//! read. Facts of the guest and facts of the host are records of their own: what the guest said is what a replay must say
//! again ([`Recording::guest_sha256`]); host times differ each time.

pub mod compare;
pub mod fields;
pub mod format;
pub mod hash;
pub mod host;
pub mod reader;
pub mod writer;

pub use compare::{compare, Comparison};
pub use fields::FieldDifference;
pub use format::{Header, FORMAT_VERSION};
pub use hash::Sha256Sum;
pub use host::{CpuState, CpuSteal, Ending, HostEvent, HostNanos};
pub use reader::{Damage, DamageProblem, Entry, ReadError, Recording};
pub use writer::{WriteError, Writer};
