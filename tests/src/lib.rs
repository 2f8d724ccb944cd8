//! Runs targets of `tests/BUILD.bazel` as Bazel would, and looks at what they leave: exit status, output, report, JUnit.
//!
//! The targets are `manual`: most of them fail on purpose. Their executables are in the runfiles of the test, below the
//! directory that `KTSTR_TARGETS` names.

#![allow(clippy::panic)] // All of this is test code; clippy sees that only inside of test functions.

mod bare;
mod browser;
mod fixture;
mod load;
mod pty;
mod recordings;

pub use bare::{argument, ktstr, said, Bare, Said};
pub use browser::Browser;
pub use fixture::{fixture, under_fixture};
pub use load::Load;
pub use pty::Pty;
pub use recordings::assert_equal;

use serde_json::Value;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A target that is about to run.
#[derive(Debug)]
pub struct Target {
    command: Command,
    outputs: TempDir,
}

/// What a target has left.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output and error, as Bazel merges them.
    pub output: String,
    outputs: TempDir,
}

/// A target that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: BufReader<PipeReader>,
    output: String,
    outputs: TempDir,
}

/// Files that a target is made of.
#[derive(Debug)]
pub struct Inputs {
    /// Its declaration.
    pub spec: PathBuf,
    /// Directory of the guest's programs.
    pub guest: PathBuf,
    launch: Value,
    root: PathBuf,
}

impl Inputs {
    /// Its kernel, prepared.
    ///
    /// # Panics
    /// If it starts from a snapshot, which has the kernel in it.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        let kernel = &self.launch["machines"]["boot"]["kernel"];
        self.root.join(kernel.as_str().expect("the target boots"))
    }

    /// The image of its kernel, for what looks at it.
    ///
    /// # Panics
    /// If nothing looks at it.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.root.join(self.launch["image"].as_str().expect("is looked at"))
    }

    /// What its cases with this topology start from.
    ///
    /// # Panics
    /// If they boot.
    #[must_use]
    pub fn snapshot(&self, topology: &str) -> PathBuf {
        self.root.join(self.launch["machines"]["snapshots"][topology].as_str().expect("starts from a snapshot"))
    }

    /// The tools of a shell, if the target is one.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.root.join(self.launch["tools"].as_str().expect("the target is a shell"))
    }

    /// Makes a program of the emulator that brings its own loader, as an installed one looks.
    #[must_use]
    pub fn emulator_script(&self, directory: &Path) -> PathBuf {
        let emulator = &self.launch["emulator"];
        let at = |value: &Value| self.root.join(value.as_str().expect("a path")).display().to_string();
        let script = directory.join("qemu-system-x86_64");
        let text = format!(
            "#!/bin/sh\nexec {} --library-path {} {} -L {} \"$@\"\n",
            at(&emulator["loader"]),
            at(&emulator["libraries"][0]),
            at(&emulator["binary"]),
            at(&emulator["data"]),
        );
        std::fs::write(&script, text).expect("writes");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("is made executable");
        script
    }
}

/// The executable of a target.
///
/// # Panics
/// If there are no targets around: these tests run under Bazel.
#[must_use]
pub fn executable(name: &str) -> PathBuf {
    let directory = std::env::var_os("KTSTR_TARGETS");
    let directory = PathBuf::from(directory.expect("KTSTR_TARGETS names the targets: run this under Bazel"));
    std::env::current_dir().expect("a directory").join(directory).join(name)
}

impl Target {
    /// The target `//tests:name`.
    ///
    /// # Panics
    /// If there are no targets around: these tests run under Bazel.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::of(Command::new(executable(name)), name)
    }

    /// Where its outputs will be.
    #[must_use]
    pub fn outputs(&self) -> &Path {
        self.outputs.path()
    }

    /// The files that it is made of.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        let mut file = self.command.get_program().to_owned();
        file.push(".launch.json");
        let launch: Value = serde_json::from_slice(&std::fs::read(file).expect("reads")).expect("JSON");
        let root = PathBuf::from(std::env::var_os("TEST_SRCDIR").expect("runfiles: run this under Bazel"));
        let at = |name: &str| root.join(launch[name].as_str().expect("a path"));
        let guest = at("agent").parent().expect("a directory").to_owned();
        Inputs { spec: at("spec"), guest, root: root.clone(), launch }
    }

    fn of(mut command: Command, name: &str) -> Self {
        let outputs = tempfile::tempdir().expect("a directory");
        for variable in ["TEST_TOTAL_SHARDS", "TEST_SHARD_INDEX", "TEST_SHARD_STATUS_FILE", "TESTBRIDGE_TEST_ONLY"] {
            command.env_remove(variable);
        }
        command
            .env("TEST_TARGET", format!("//tests:{name}"))
            .env("TEST_UNDECLARED_OUTPUTS_DIR", outputs.path())
            .env("XML_OUTPUT_FILE", outputs.path().join("test.xml"))
            .env("TEST_INFRASTRUCTURE_FAILURE_FILE", outputs.path().join("infrastructure"))
            .env("TEST_PREMATURE_EXIT_FILE", outputs.path().join("premature"))
            .env("TEST_TIMEOUT", "600")
            .env("TEST_TMPDIR", outputs.path())
            .stdin(Stdio::null());
        Self { command, outputs }
    }

    /// Sets a variable of Bazel's test protocol.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(self) -> Ran {
        self.start().wait()
    }

    /// Starts it.
    #[must_use]
    pub fn start(mut self) -> Running {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        self.command.stdout(writer.try_clone().expect("another end")).stderr(writer);
        let child = self.command.spawn().unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command));
        // With the command its ends of the pipe go: the last one is the child's.
        Running { child, lines: BufReader::new(reader), output: String::new(), outputs: self.outputs }
    }
}

impl Running {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process id")
    }

    /// Reads the output up to a line that contains `text`.
    pub fn wait_for_line(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).expect("reads");
            assert!(length > 0, "ended without a line with {text:?}:\n{}", self.output);
            self.output += &line;
            if line.contains(text) {
                return;
            }
        }
    }

    /// Waits until it has a child whose program is `name`, and gives the child's process id.
    pub fn wait_for_child(&mut self, name: &str) -> i32 {
        loop {
            if let Some(pid) = children(self.pid()).into_iter().find(|pid| command_of(*pid).contains(name)) {
                return pid;
            }
            assert!(self.child.try_wait().expect("waits").is_none(), "ended without a child {name}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("sends");
    }

    /// Waits for its end.
    #[must_use]
    pub fn wait(mut self) -> Ran {
        self.lines.read_to_string(&mut self.output).expect("reads");
        let status = self.child.wait().expect("waits");
        Ran { status, output: self.output, outputs: self.outputs }
    }
}

impl Ran {
    /// `report.json`.
    #[must_use]
    pub fn report(&self) -> Value {
        let path = self.outputs.path().join("report.json");
        let json = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}\n{}", path.display(), self.output));
        serde_json::from_slice(&json).expect("JSON")
    }

    /// Cases of the report: names and verdicts.
    #[must_use]
    pub fn verdicts(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let report = self.report();
        let cases = report["cases"].as_array().cloned().unwrap_or_default();
        cases.iter().map(|case| (text(&case["name"]), text(&case["verdict"]))).collect()
    }

    /// Content of a file among the outputs; empty if it is not there.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.outputs.path().join(name)).unwrap_or_default()
    }

    /// Path of a file among the outputs.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.outputs.path().join(name)
    }

    /// Checks exit status and that the output contains each of `texts`.
    pub fn expect(&self, status: i32, texts: &[&str]) {
        assert_eq!(self.status.code(), Some(status), "{}", self.output);
        for text in texts {
            assert!(self.output.contains(text), "no {text:?} in:\n{}", self.output);
        }
    }
}

/// Whether a process is there and not only waiting to be reaped.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Processes that a process has started.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}

fn command_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
