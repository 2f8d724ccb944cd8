//! Plain types of ktstr: what a test declares, what a case is, what a guest reports and what a judge says.
//!
//! Nothing here does I/O. Data passes it in two steps:
//!
//! ```text
//! spec.json ──spec──▶ TestSpec (raw: what the user wrote)
//! TestSpec ──plan──▶ [Case] (resolved for one topology and seed: CPU numbers, worker ids, actions in order)
//! Case.plan ──channel──▶ guest ──▶ Event ──judge──▶ Finding, Verdict
//! ```
//!
//! Every error names the path to the offending field and what would do.

pub mod case;
pub mod check;
pub mod cpuset;
pub mod dump;
pub mod event;
pub mod expect;
pub mod field;
pub mod floor;
pub mod host_op;
pub mod metric;
pub mod monitor;
pub mod over_time;
pub mod placement;
pub mod plan;
pub mod resolve;
pub mod sample;
pub mod scheduler;
pub mod shell;
pub mod spec;
pub mod start;
pub mod topology;
pub mod trace;
pub mod units;
pub mod verdict;
pub mod work;

pub use case::{Backend, Case, Clock};
pub use check::{Bound, Check, Origin};
pub use cpuset::CpuSet;
pub use dump::Dump;
pub use event::{Event, GuestNanos, What};
pub use expect::ExpectedFailure;
pub use field::{FieldError, FieldErrors};
pub use host_op::HostOp;
pub use metric::Metric;
pub use monitor::MonitorSpec;
pub use over_time::OverTime;
pub use placement::Placement;
pub use plan::Plan;
pub use sample::Sample;
pub use scheduler::{SchedulerPlan, SchedulerSpec};
pub use shell::ShellPlan;
pub use spec::TestSpec;
pub use start::{StartMode, StartSpec};
pub use topology::Topology;
pub use trace::TraceEvent;
pub use units::{Mebibytes, Nanos};
pub use verdict::{Cause, Finding, Phase, Verdict};
pub use work::Work;
