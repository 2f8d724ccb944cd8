//! What a person sees of recordings: who ran where and when, as a page and as a trace. Pure: no file, no clock.
//!
//! ```text
//! Recording ──Timeline::of──▶ Timeline ──thinned──▶ Page ──▶ report.html
//!                                 └──perfetto──▶ a trace that Perfetto opens
//! ```
//!
//! Names of tasks and most numbers are a guest's own words: they are shown, never run, and never trusted to be sane.

mod charts;
mod lanes;
mod marks;
mod page;
mod perfetto;
#[cfg(test)]
mod tests;
mod thin;
mod timeline;

pub use page::{Head, Page};
pub use perfetto::perfetto;
pub use timeline::{Chart, Lane, Mark, MarkKind, Run, Seen, Task, Timeline};
