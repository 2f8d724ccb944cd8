//! A sched_ext scheduler under test: what a test declares of it, what the guest is told, and what the guest says of it.
//!
//! ```text
//! spec.scheduler ──resolve──▶ plan.scheduler ──agent──▶ its process, the kernel's state, their lines ──▶ What::…
//! ```
//!
//! The guest starts it and writes down what the kernel and the process say; in which phase it failed, and why, is the judge's
//! business.

use crate::monitor::SeriesSpec;
use crate::spec::ChecksSpec;
use crate::{FieldError, Nanos};
use serde::{Deserialize, Serialize};

/// Guest time in which a scheduler has to be attached: the verifier alone takes 40 s for some under emulation.
pub const ATTACH_MAX: Nanos = Nanos(180_000_000_000);
/// Guest time in which a scheduler that is told to end has to be detached and gone.
pub const DETACH_MAX: Nanos = Nanos(20_000_000_000);
/// Longest `attach_timeout`.
const TIMEOUT_MAX: Nanos = Nanos(3_600_000_000_000);

/// A scheduler as the user declared it. Its program is no part of the declaration: it is an input, named beside it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// Ways to start it, each of which makes cases of its own; none: one way, without a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<ProfileSpec>,
    /// Bounds that it brings with it; those of the test win.
    #[serde(default, skip_serializing_if = "ChecksSpec::is_empty")]
    pub checks: ChecksSpec,
    /// Variables of it that are sampled, beside those of the test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<SeriesSpec>,
    /// What a kernel must have, or the cases are skipped: `CONFIG_X`, a kfunc, a type, or a member `type.member`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_features: Vec<String>,
}

/// A flag profile: a name for some arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// A part of the name of its cases, such as `llc+steal`.
    pub name: String,
    /// Come after the arguments that all cases have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// One way to run the cases of a declaration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// None where the declaration has no profiles.
    pub name: Option<String>,
    /// The scheduler under test, if there is one.
    pub scheduler: Option<SchedulerPlan>,
}

/// A change of the scheduler while the scenario runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SchedulerOp {
    /// Tells it to end, and waits until it is gone.
    Stop,
    /// Starts it again, and waits until it is attached.
    Start,
    /// Both.
    Restart,
    /// Both, with other arguments from now on.
    Replace {
        /// All of them.
        args: Vec<String>,
    },
    /// Runs its program once more beside it, and waits for its end, which has to be a good one.
    Command {
        /// Arguments of this run.
        args: Vec<String>,
    },
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
    /// Checks what was declared, at `path`, and gives each way to run it.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn profiles(&self, path: &str) -> Result<Vec<Profile>, FieldError> {
        let plan = self.resolve(path)?;
        if self.profiles.is_empty() {
            return Ok(vec![Profile { name: None, scheduler: Some(plan) }]);
        }
        let mut profiles: Vec<Profile> = Vec::new();
        for (i, ProfileSpec { name, args }) in self.profiles.iter().enumerate() {
            let at = format!("{path}.profiles[{i}]");
            check_name(name, &format!("{at}.name"))?;
            check_args(args, &format!("{at}.args"))?;
            let name = Some(name.clone());
            if profiles.iter().any(|profile| profile.name == name) {
                return Err(FieldError::new(at, format!("{:?} stands there twice", self.profiles[i].name)));
            }
            let args = [plan.args.clone(), args.clone()].concat();
            profiles.push(Profile { name, scheduler: Some(SchedulerPlan { args, ..plan.clone() }) });
        }
        Ok(profiles)
    }

    /// Checks it, at `path`, and gives what the guest is told of it where no profile adds arguments.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn resolve(&self, path: &str) -> Result<SchedulerPlan, FieldError> {
        check_name(&self.name, &format!("{path}.name"))?;
        check_args(&self.args, &format!("{path}.args"))?;
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

fn check_name(name: &str, path: &str) -> Result<(), FieldError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    let error = FieldError::new(path, format!("{name:?} is not a name"));
    Err(error.hint("1 to 64 letters, digits, `.`, `_`, `-`, `+`; not a dot first"))
}

pub(crate) fn check_args(args: &[String], path: &str) -> Result<(), FieldError> {
    match args.iter().position(|argument| argument.contains('\0')) {
        Some(i) => Err(FieldError::new(format!("{path}[{i}]"), "has a zero byte, as no argument can")),
        None => Ok(()),
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
        SchedulerSpec { name: name.into(), ..Default::default() }
    }

    fn refusal(spec: &SchedulerSpec) -> String {
        spec.profiles("scheduler").expect_err("refused").to_string()
    }

    fn profile(name: &str, args: &[&str]) -> ProfileSpec {
        ProfileSpec { name: name.into(), args: args.iter().map(|&argument| argument.into()).collect() }
    }

    #[test]
    fn a_profile_adds_its_arguments() {
        let plain = SchedulerSpec { args: vec!["-v".into()], ..spec("s") };
        let profiles = plain.profiles("scheduler").expect("can be");
        assert_eq!((profiles.len(), &profiles[0].name), (1, &None));
        let two = SchedulerSpec { profiles: vec![profile("default", &[]), profile("a+b", &["-a", "-b"])], ..plain };
        let args = |profile: &Profile| profile.scheduler.as_ref().map(|plan| plan.args.join(" ")).unwrap_or_default();
        let profiles: Vec<_> =
            two.profiles("scheduler").expect("can be").iter().map(|p| (p.name.clone(), args(p))).collect();
        assert_eq!(profiles, [(Some("default".into()), "-v".into()), (Some("a+b".into()), "-v -a -b".into())]);
    }

    #[test]
    fn a_profile_that_cannot_be_is_refused_with_its_path() {
        let with = |second| SchedulerSpec { profiles: vec![profile("a", &[]), second], ..spec("s") };
        assert_eq!(refusal(&with(profile("a", &[]))), "scheduler.profiles[1]: \"a\" stands there twice");
        let text = refusal(&with(profile("b c", &[])));
        assert!(text.starts_with("scheduler.profiles[1].name: \"b c\" is not a name"), "{text}");
        let text = refusal(&with(profile("b", &["\0"])));
        assert!(text.starts_with("scheduler.profiles[1].args[0]: has a zero byte"), "{text}");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_path() {
        assert_eq!(spec("scx_mine").resolve("scheduler").map(|plan| plan.attach_max), Ok(ATTACH_MAX));
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
