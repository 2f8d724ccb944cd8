//! A sched_ext scheduler under test: what a test declares of it, what the guest is told, and what the guest says of it.
//!
//! ```text
//! spec.scheduler ──resolve──▶ plan.scheduler ──agent──▶ its process, the kernel's state, their lines ──▶ What::…
//! ```
//!
//! The guest starts it and writes down what the kernel and the process say; in which phase it failed, and why, is the judge's
//! business.

use crate::{FieldError, Nanos};
use serde::{Deserialize, Serialize};

/// Guest time in which a scheduler has to be attached: the verifier alone takes 40 s for some under emulation.
pub const ATTACH_MAX: Nanos = Nanos(180_000_000_000);
/// Guest time in which a scheduler that is told to end has to be detached and gone.
pub const DETACH_MAX: Nanos = Nanos(20_000_000_000);
/// Longest `attach_timeout`.
const TIMEOUT_MAX: Nanos = Nanos(3_600_000_000_000);

/// A scheduler as the user declared it. Its program is no part of the declaration: it is an input, named beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerSpec {
    /// What it is called in the guest and in reports.
    pub name: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Absolute paths in the guest of the data files that it reads. What they hold is named beside the declaration, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Guest time in which it has to be attached; by default [`ATTACH_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_timeout: Option<Nanos>,
}

/// What the guest is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerPlan {
    /// Its name, which is also that of its program's file.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Absolute paths of its data files.
    #[serde(default)]
    pub files: Vec<String>,
    /// Guest time in which it has to be attached.
    pub attach_max: Nanos,
    /// Guest time in which it has to be detached and gone once it is told to end.
    pub detach_max: Nanos,
}

impl SchedulerSpec {
    /// Checks what was declared, at `path`.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn resolve(&self, path: &str) -> Result<SchedulerPlan, FieldError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        let name_fits = !self.name.is_empty() && self.name.len() <= 64 && self.name.chars().all(plain);
        if !name_fits || self.name.starts_with('.') {
            let error = FieldError::new(format!("{path}.name"), format!("{:?} is not a name", self.name));
            return Err(error.hint("1 to 64 letters, digits, `.`, `_`, `-`, `+`; not a dot first"));
        }
        for (i, argument) in self.args.iter().enumerate() {
            if argument.contains('\0') {
                return Err(FieldError::new(format!("{path}.args[{i}]"), "has a zero byte, as no argument can"));
            }
        }
        for (i, file) in self.files.iter().enumerate() {
            let problem = match () {
                () if !file.starts_with('/') || file.split('/').any(|part| part == "..") => "is not an absolute path",
                () if file.ends_with('/') || file.contains('\0') => "is not the path of a file",
                () if self.files[..i].contains(file) => "stands there twice",
                () => continue,
            };
            return Err(FieldError::new(format!("{path}.files[{i}]"), format!("{file:?} {problem}")));
        }
        let attach_max = self.attach_timeout.unwrap_or(ATTACH_MAX);
        if attach_max.0 == 0 || attach_max > TIMEOUT_MAX {
            let error = FieldError::new(format!("{path}.attach_timeout"), format!("{attach_max} is out of range"));
            return Err(error.hint(format!("above 0, at most {TIMEOUT_MAX}")));
        }
        let (name, args, files) = (self.name.clone(), self.args.clone(), self.files.clone());
        Ok(SchedulerPlan { name, args, files, attach_max, detach_max: DETACH_MAX })
    }
}

/// What the kernel shows in `/sys/kernel/sched_ext`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct SchedExtState {
    /// `state`: `disabled`, `enabling`, `enabled`, `disabling`.
    pub state: String,
    /// `root/ops`, the name in the scheduler's `sched_ext_ops`; empty where there is none.
    pub ops: String,
    /// `enable_seq`: how often any scheduler was attached since the boot.
    pub enable_seq: u64,
}

/// A line that the scheduler printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// Where.
    pub stream: Stream,
    /// The line; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Where a program prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelLine {
    /// Level: 3 error, 4 warning, 6 information.
    pub level: u8,
    /// The kernel's own clock, in microseconds.
    pub micros: u64,
    /// The line.
    pub text: String,
}

/// The guest has waited for the scheduler as long as the plan allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerOverdue {
    /// For what.
    pub awaited: Awaited,
    /// How long.
    pub waited: Nanos,
    /// State of its process in `/proc/<pid>/stat`: `R`, `S`, `D`; `-`: it is gone.
    pub process: char,
    /// Where its process is in the kernel (`/proc/<pid>/stack`), innermost first; empty if it is not, or cannot be known.
    pub stack: Vec<String>,
}

/// What the guest waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// The kernel's `enabled`.
    Attach,
    /// The kernel's `disabled`, and the end of the process.
    Detach,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> SchedulerSpec {
        SchedulerSpec { name: name.into(), args: vec![], files: vec![], attach_timeout: None }
    }

    fn refusal(spec: &SchedulerSpec) -> String {
        spec.resolve("scheduler").expect_err("refused").to_string()
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_path() {
        assert_eq!(spec("scx_mine").resolve("scheduler").expect("is one").attach_max, ATTACH_MAX);
        for name in ["", ".", "../x", "a b"] {
            assert!(refusal(&spec(name)).starts_with(&format!("scheduler.name: {name:?} is not a name; ")), "{name}");
        }
        let args = SchedulerSpec { args: vec!["-x".into(), "a\0b".into()], ..spec("s") };
        assert_eq!(refusal(&args), "scheduler.args[1]: has a zero byte, as no argument can");
        let file = |file: &str| SchedulerSpec { files: vec!["/a".into(), file.into()], ..spec("s") };
        assert_eq!(refusal(&file("x")), "scheduler.files[1]: \"x\" is not an absolute path");
        assert_eq!(refusal(&file("/x/../y")), "scheduler.files[1]: \"/x/../y\" is not an absolute path");
        assert_eq!(refusal(&file("/x/")), "scheduler.files[1]: \"/x/\" is not the path of a file");
        assert_eq!(refusal(&file("/a")), "scheduler.files[1]: \"/a\" stands there twice");
        let never = SchedulerSpec { attach_timeout: Some(Nanos(0)), ..spec("s") };
        assert_eq!(refusal(&never), "scheduler.attach_timeout: 0ns is out of range; above 0, at most 3600s");
    }
}
