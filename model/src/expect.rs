//! The failure that a test is about: a test of a failure's path passes if that failure, and no other, is found.

use crate::field::FieldError;
use crate::verdict::{Cause, Finding, Phase};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `expect_failure(phase, cause, message)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedFailure {
    /// What kind of failure it is.
    pub cause: Cause,
    /// When it happens; none: whenever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What stands in its line, its check or its explanation; none: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ExpectedFailure {
    /// Checks what was declared, at `path`.
    ///
    /// # Errors
    /// A cause that is none of the system under test, or an empty message.
    pub fn check(&self, path: &str) -> Result<(), FieldError> {
        if !self.cause.is_failure() {
            let problem = format!("{} is not a failure of what is tested", self.cause.name());
            return Err(FieldError::new(format!("{path}.cause"), problem));
        }
        if self.message.as_deref() == Some("") {
            return Err(FieldError::new(format!("{path}.message"), "is empty").hint("leave it out for any message"));
        }
        Ok(())
    }

    /// Whether a finding is this failure.
    pub fn is(&self, finding: &Finding) -> bool {
        let says = |message: &String| {
            let check = finding.check.as_deref().unwrap_or_default();
            [check, &finding.measured, &finding.explanation].iter().any(|text| text.contains(message.as_str()))
        };
        finding.cause == self.cause
            && self.phase.is_none_or(|phase| phase == finding.phase)
            && self.message.as_ref().is_none_or(says)
    }
}

impl fmt::Display for ExpectedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.name())?;
        if let Some(phase) = self.phase {
            write!(f, " in phase {}", phase.name())?;
        }
        match &self.message {
            Some(message) => write!(f, ", with {message:?}"),
            None => Ok(()),
        }
    }
}
