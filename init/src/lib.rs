//! Stage one of the guest: what is common to all cases, up to the point where a machine is saved; and the frame that it shares
//! with the agent.
//!
//! ```text
//! boot ──▶ mounts ──▶ controllers ──▶ what the machine looks like ──▶ save point ──▶ go word ──▶ payload ──▶ the agent
//! ```
//!
//! A saved machine holds this program, so that every change of it, or of a crate that it uses, boots all kernels anew. What a
//! case does is the agent's business, which comes with the payload, behind the save point.
//!
//! Events go to the host through a ring in a window of guest memory ([`reporter`]). The guest writes down facts and never
//! decides whether a test passed. It does not panic: whatever goes wrong is an event, and the machine ends ([`program`]).

pub mod clock;
pub mod console;
pub mod controllers;
pub mod error;
pub mod machine;
pub mod mounts;
pub mod program;
pub mod reporter;
pub mod save_point;
pub mod stage_one;
pub mod sys;
