//! The scheduler under test at each point of the scenario: whether it is there. With which arguments, the guest keeps in mind: they
//! differ from flag profile to flag profile.

use crate::plan::Action;
use crate::scheduler::{check_args, SchedulerOp};
use crate::FieldError;

/// How it stands with it.
pub(super) enum UnderTest {
    /// The test has none.
    None,
    /// It is attached.
    There,
    /// It was told to end.
    Stopped,
}

impl UnderTest {
    /// The actions of an op that stands at `path`.
    pub(super) fn op(&mut self, op: &SchedulerOp, path: &str) -> Result<Vec<Action>, FieldError> {
        match (&self, op) {
            (Self::None, _) => {
                let error = FieldError::new(path, "there is no scheduler under test");
                return Err(error.hint("a scheduler for the test"));
            }
            (Self::There, SchedulerOp::Start) => {
                let error = FieldError::new(path, "the scheduler is there at this point");
                return Err(error.hint("stop before, or restart"));
            }
            (Self::There, _) | (Self::Stopped, SchedulerOp::Start) => {}
            (Self::Stopped, _) => {
                let error = FieldError::new(path, "the scheduler is stopped at this point");
                return Err(error.hint("start before, or instead"));
            }
        }
        *self = if *op == SchedulerOp::Stop { Self::Stopped } else { Self::There };
        Ok(match op {
            SchedulerOp::Stop => vec![Action::StopScheduler],
            SchedulerOp::Start => vec![Action::StartScheduler { args: None }],
            SchedulerOp::Restart => vec![Action::StopScheduler, Action::StartScheduler { args: None }],
            SchedulerOp::Replace { args } => {
                check_args(args, &format!("{path}.replace.args"))?;
                vec![Action::StopScheduler, Action::StartScheduler { args: Some(args.clone()) }]
            }
            SchedulerOp::Command { args } => {
                check_args(args, &format!("{path}.command.args"))?;
                vec![Action::SchedulerCommand { args: args.clone() }]
            }
        })
    }
}
