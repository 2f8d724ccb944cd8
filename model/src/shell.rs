//! A shell in the guest, for a person or for one command: what the guest is told of it. What goes in and out is no part of it: bytes in
//! the window.

use crate::SchedulerPlan;
use serde::{Deserialize, Serialize};

/// What the guest is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellPlan {
    /// For `sh -c`; none: a shell on a terminal.
    pub command: Option<String>,
    /// The sched_ext scheduler, if there is one.
    pub scheduler: Option<SchedulerPlan>,
    /// Whether it is attached first, or only lies there.
    pub attach: bool,
    /// What the prompt says besides the kernel: the machine.
    pub prompt: String,
    /// Value of `TERM`.
    pub terminal: String,
}
