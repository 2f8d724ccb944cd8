//! A kernel's state, read from the host through guest memory. The guest notices nothing, and nothing in it has to work.
//!
//! ```text
//! segments      physical memory: of a machine, of a save, of a test
//! page_table    formats as data, one walk
//! symbols       the kernel's own tables, out of its image
//! image         what an image tells about every machine that runs it; opened once a kernel
//! kernel        image + memory: virtual reads, symbols where they are, per-CPU variables
//! object        a value by its path
//! layout        several fields of one type with one read
//! module        modules: symbols, addresses, types
//! runqueue, task, scx, bpf, clock, domain, unwind   one subsystem each, with the kernel's own names
//! map_variables a scheduler's variables by the names of maps and fields
//! series        those that are sampled
//! sampler       all of it as a sample, again and again
//! ops           single reads and writes, in the middle of a case
//! dump          all of a kernel at the end of one
//! ```
//!
//! Everything that is read is an allegation: walks are bounded, lists are believed only where nodes point back, numbers that cannot be are
//! errors. Versions of a kernel are told apart by the shape of its types and by its symbols, never by a number; what one lacks is
//! `None` or [`ReadError::is_absence`].

mod bpf;
mod bpf_symbols;
mod clock;
mod domain;
mod dump;
mod error;
mod image;
mod kernel;
mod layout;
mod list;
mod map_variables;
mod module;
mod object;
mod ops;
mod page_table;
mod runqueue;
mod sampler;
mod scx;
mod segments;
mod series;
mod symbols;
mod task;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;
mod unwind;
mod xarray;

pub use bpf::{Element, Map, Maps};
pub use clock::{Clock, Monotonic};
pub use dump::dump;
pub use error::{KernelError, ReadError};
pub use image::{Image, ImageError};
pub use kernel::Kernel;
pub use list::End;
pub use module::{Module, Modules};
pub use object::Object;
pub use ops::check;
pub use page_table::{Format, Gva, Mapping, AARCH64_16K, AARCH64_4K, AARCH64_64K, X86_64_4_LEVELS, X86_64_5_LEVELS};
pub use runqueue::{Current, Runqueue, Runqueues, ScxRunqueue};
pub use sampler::Sampler;
pub use scx::{Dsq, Scx};
pub use segments::Memory;
pub use series::SeriesProblem;
pub use symbols::{Address, Symbols};
pub use task::{AllTasks, ScxTask, Task, Tasks};
pub use unwind::{Frame, Unwinder};
