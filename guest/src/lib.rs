//! The agent: comes with the payload of a case, takes over from stage one (`ktstr-init`) as process 1 of the guest, and carries out
//! the plan.
//!
//! ```text
//! Plan ──agent──▶ cgroups, workers (processes), holds ──▶ events through the reporter of stage one
//! worker ──telemetry──▶ shared memory ──agent──▶ WorkerReport
//! SchedulerPlan ──scheduler──▶ the scheduler under test, attached before the first step, told to end after the last
//! SchedulerPlan ──attached──▶ a machine that is saved with it attached, and goes on as any other for each plan
//! ShellPlan ──shell──▶ a shell on a terminal of the guest, or one command ──▶ What::ShellExited
//! ```
//!
//! The guest writes down facts and never decides whether a test passed. It does not panic: whatever goes wrong is an event, and
//! the machine ends ([`ktstr_init::program`]).

pub mod agent;
pub mod attached;
pub mod cgroups;
pub mod faults;
mod files;
pub mod litter;
pub mod procfs;
pub mod scheduler;
pub mod seed;
pub mod shell;
pub mod sys;
pub mod telemetry;
pub mod trace;
pub mod under_test;
pub mod worker;
pub mod workers;
