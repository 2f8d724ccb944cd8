//! The programs inside the guest.
//!
//! ```text
//! ktstr-init   process 1 of the guest: mounts, what the machine looks like, waits for the payload   stage_one
//! ktstr-agent  comes with the payload, takes over as process 1, carries out the plan                agent
//! ```
//!
//! Events go to the host through a ring in a window of guest memory ([`reporter`]). The guest writes down facts and never
//! decides whether a test passed. It does not panic: whatever goes wrong is an event, and the machine ends ([`program`]).

pub mod agent;
pub mod cgroups;
pub mod console;
pub mod error;
pub mod faults;
pub mod machine;
pub mod mounts;
pub mod procfs;
pub mod program;
pub mod reporter;
pub mod seed;
pub mod stage_one;
pub mod sys;
pub mod telemetry;
pub mod worker;
pub mod workers;
