//! The program `ktstr` as it is used without Bazel: `arguments ──ktstr──▶ Said`.

use crate::{executable, Target};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a command has said.
#[derive(Debug)]
pub struct Said {
    /// Exit status; none: a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// Checks exit status and that the output contains each of `texts`.
    pub fn expect(&self, status: i32, texts: &[&str]) {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.status, Some(status), "{said}");
        for text in texts {
            assert!(said.contains(text), "no {text:?} in:\n{said}");
        }
    }
}

/// Runs `ktstr` with these arguments.
///
/// # Panics
/// If there are no targets around: these tests run under Bazel.
#[must_use]
pub fn ktstr(arguments: &[&str]) -> Said {
    // What the executable of any target is a link to. There is no launch file beside it, so that it takes a command line.
    let program = std::fs::canonicalize(executable("boots")).expect("is there");
    said(&program, arguments)
}

/// Runs a program with these arguments, and nothing to read.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn said(program: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(program);
    let Output { status, stdout, stderr } = command.args(arguments).stdin(Stdio::null()).output().expect("starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// A path as an argument.
///
/// # Panics
/// If it is not text.
#[must_use]
pub fn argument(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Files for `ktstr run` and `ktstr replay`, and a directory for what they leave.
#[derive(Debug)]
pub struct Bare {
    /// Prepared.
    pub kernel: PathBuf,
    /// As an installed one looks.
    pub emulator: PathBuf,
    guest: PathBuf,
    directory: TempDir,
}

impl Bare {
    /// Files of a target that boots: only such a one has a kernel among them.
    ///
    /// # Panics
    /// If it starts from a snapshot.
    #[must_use]
    pub fn of(target: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let inputs = Target::new(target).inputs();
        let emulator = inputs.emulator_script(directory.path());
        Self { kernel: inputs.kernel(), emulator, guest: inputs.guest, directory }
    }

    /// A path below its directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the declaration of a target; recordings and reports go to `out`.
    #[must_use]
    pub fn run(&self, target: &str, options: &[&str]) -> Said {
        self.run_file(&Target::new(target).inputs().spec, options)
    }

    /// Runs a declaration; recordings and reports go to `out`.
    #[must_use]
    pub fn run_file(&self, spec: &Path, options: &[&str]) -> Said {
        let output = self.path("out");
        let arguments = ["run", argument(spec), "--kernel", argument(&self.kernel), "--output", argument(&output)];
        self.ktstr(&[&arguments[..], options].concat())
    }

    /// Replays a recording; what that leaves goes to `again`.
    #[must_use]
    pub fn replay(&self, recording: &Path, options: &[&str]) -> Said {
        let output = self.path("again");
        let arguments = ["replay", argument(recording), "--output", argument(&output)];
        self.ktstr(&[&arguments[..], options].concat())
    }

    /// Boots a machine with a shell, with the tools of the target `shell`.
    #[must_use]
    pub fn shell(&self, shell: &str, options: &[&str]) -> Said {
        let tools = Target::new(shell).inputs().tools();
        let arguments = ["shell", "--kernel", argument(&self.kernel), "--busybox", argument(&tools)];
        let named = ["--guest", argument(&self.guest), "--emulator", argument(&self.emulator)];
        // What stands behind `--` belongs to the scheduler.
        ktstr(&[&arguments[..], &named, options].concat())
    }

    fn ktstr(&self, arguments: &[&str]) -> Said {
        let named = ["--guest", argument(&self.guest), "--emulator", argument(&self.emulator)];
        ktstr(&[arguments, &named].concat())
    }
}
