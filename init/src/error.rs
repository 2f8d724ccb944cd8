//! The one error of the guest's programs. It is made to be sent to the host: what was about to be done, what went wrong.

use ktstr_model::event::GuestFailure;
use std::fmt;

/// Something the guest could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to {doing}: {problem}")]
pub struct GuestError {
    /// What it was about to do: "create cgroup a".
    pub doing: String,
    /// What went wrong, with the error of the system call.
    pub problem: String,
}

impl GuestError {
    /// An error while `doing` something.
    pub fn new(doing: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { doing: doing.into(), problem: problem.to_string() }
    }

    /// Adds what would help to an error whose cause is known.
    #[must_use]
    pub fn hint(mut self, hint: &str) -> Self {
        self.problem.push_str("; ");
        self.problem.push_str(hint);
        self
    }
}

impl From<GuestError> for GuestFailure {
    fn from(error: GuestError) -> Self {
        Self { doing: error.doing, problem: error.problem }
    }
}

/// Gives the error of a system call the place where it happened.
pub trait Doing<T> {
    /// `doing` reads after "failed to".
    ///
    /// # Errors
    /// The error that was there, with `doing` in front of it.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, GuestError>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, GuestError> {
        self.map_err(|error| GuestError::new(doing(), error))
    }
}
