//! The environment that Bazel gives to a test, and the files it wants back.
//!
//! <https://bazel.build/reference/test-encyclopedia>, and for what is missing there `test-setup.sh` and
//! `TestPolicy.java` of Bazel.

use crate::select::{Filter, Shard};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What Bazel asks of this process.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TestProtocol {
    /// `TEST_TARGET`.
    pub(crate) target: Option<String>,
    /// `TEST_TOTAL_SHARDS`, `TEST_SHARD_INDEX`.
    pub(crate) shard: Shard,
    /// `TESTBRIDGE_TEST_ONLY`.
    pub(crate) filter: Option<Filter>,
    /// `TESTBRIDGE_TEST_RUNNER_FAIL_FAST`.
    pub(crate) fail_fast: bool,
    /// `TEST_TIMEOUT`.
    pub(crate) timeout: Option<Duration>,
    /// `TEST_RANDOM_SEED`.
    pub(crate) random_seed: Option<u64>,
    /// `XML_OUTPUT_FILE`.
    pub(crate) xml: Option<PathBuf>,
    /// `TEST_UNDECLARED_OUTPUTS_DIR`.
    pub(crate) outputs: Option<PathBuf>,
    /// `TEST_TMPDIR`.
    pub(crate) scratch: PathBuf,
    shard_status: Option<PathBuf>,
    premature_exit: Option<PathBuf>,
    infrastructure_failure: Option<PathBuf>,
    warnings: Option<PathBuf>,
}

/// An environment variable of Bazel that does not say what it should.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{variable} is {value:?}, which is not {expected}")]
pub(crate) struct ProtocolError {
    variable: &'static str,
    value: String,
    expected: &'static str,
}

impl TestProtocol {
    /// Reads the environment through `variable`.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ProtocolError> {
        let text =
            |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned()).filter(|v| !v.is_empty());
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Ok(Self {
            target: text("TEST_TARGET"),
            shard: shard(&text)?,
            filter: text("TESTBRIDGE_TEST_ONLY").map(|glob| Filter::new(&glob)),
            fail_fast: text("TESTBRIDGE_TEST_RUNNER_FAIL_FAST").is_some_and(|value| value == "1"),
            timeout: number(&text, "TEST_TIMEOUT", "a number of seconds")?.map(Duration::from_secs),
            random_seed: number(&text, "TEST_RANDOM_SEED", "a number")?,
            xml: path("XML_OUTPUT_FILE"),
            outputs: path("TEST_UNDECLARED_OUTPUTS_DIR"),
            scratch: path("TEST_TMPDIR").unwrap_or_else(std::env::temp_dir),
            shard_status: path("TEST_SHARD_STATUS_FILE"),
            premature_exit: path("TEST_PREMATURE_EXIT_FILE"),
            infrastructure_failure: path("TEST_INFRASTRUCTURE_FAILURE_FILE"),
            warnings: path("TEST_WARNINGS_OUTPUT_FILE"),
        })
    }

    /// Tells Bazel that this process knows about shards, and that it has not ended in good order yet.
    pub(crate) fn begin(&self) -> std::io::Result<()> {
        [&self.shard_status, &self.premature_exit].into_iter().flatten().try_for_each(|file| touch(file))
    }

    /// Tells Bazel that this process ends in good order.
    pub(crate) fn end(&self) -> std::io::Result<()> {
        match &self.premature_exit {
            Some(file) if file.exists() => fs::remove_file(file),
            _ => Ok(()),
        }
    }

    /// Names the part of the harness that failed, and how.
    pub(crate) fn infrastructure_failure(&self, component: &str, description: &str) -> std::io::Result<()> {
        let Some(file) = &self.infrastructure_failure else { return Ok(()) };
        fs::write(file, format!("{component}\n{}\n", description.lines().next().unwrap_or_default()))
    }

    /// Hands over warnings; Bazel's own open-source version ignores them, so that they must be printed, too.
    pub(crate) fn warnings(&self, warnings: &[String]) -> std::io::Result<()> {
        match &self.warnings {
            Some(file) if !warnings.is_empty() => fs::write(file, warnings.join("\n") + "\n"),
            _ => Ok(()),
        }
    }
}

fn touch(file: &Path) -> std::io::Result<()> {
    fs::OpenOptions::new().create(true).append(true).open(file).map(drop)
}

fn shard(text: &impl Fn(&str) -> Option<String>) -> Result<Shard, ProtocolError> {
    let total = number(text, "TEST_TOTAL_SHARDS", "a number of shards")?.unwrap_or(0);
    if total == 0 {
        return Ok(Shard::WHOLE);
    }
    let index = number(text, "TEST_SHARD_INDEX", "the index of a shard")?.unwrap_or(0);
    let shard = u32::try_from(index).ok().zip(u32::try_from(total).ok()).and_then(|(i, n)| Shard::new(i, n));
    shard.ok_or(ProtocolError {
        variable: "TEST_SHARD_INDEX",
        value: format!("{index}"),
        expected: "below TEST_TOTAL_SHARDS",
    })
}

fn number(
    text: &impl Fn(&str) -> Option<String>,
    variable: &'static str,
    expected: &'static str,
) -> Result<Option<u64>, ProtocolError> {
    let Some(value) = text(variable) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| ProtocolError { variable, value, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<TestProtocol, ProtocolError> {
        TestProtocol::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn an_empty_environment_asks_for_everything() {
        let protocol = read(&[]).expect("reads");
        assert_eq!((protocol.shard, protocol.filter, protocol.fail_fast), (Shard::WHOLE, None, false));
    }

    #[test]
    fn reads_what_bazel_says() {
        let protocol = read(&[
            ("TEST_TOTAL_SHARDS", "3"),
            ("TEST_SHARD_INDEX", "2"),
            ("TESTBRIDGE_TEST_ONLY", "*[s0]"),
            ("TESTBRIDGE_TEST_RUNNER_FAIL_FAST", "1"),
            ("TEST_TIMEOUT", "60"),
            ("TEST_RANDOM_SEED", "11"),
        ])
        .expect("reads");
        assert_eq!(Some(protocol.shard), Shard::new(2, 3));
        assert_eq!(protocol.filter, Some(Filter::new("*[s0]")));
        assert!(protocol.fail_fast);
        assert_eq!((protocol.timeout, protocol.random_seed), (Some(Duration::from_secs(60)), Some(11)));
    }

    #[test]
    fn refuses_what_cannot_be() {
        let error = read(&[("TEST_TOTAL_SHARDS", "2"), ("TEST_SHARD_INDEX", "2")]).expect_err("refused").to_string();
        assert_eq!(error, "TEST_SHARD_INDEX is \"2\", which is not below TEST_TOTAL_SHARDS");
        assert!(read(&[("TEST_TIMEOUT", "soon")]).is_err());
    }

    #[test]
    fn files_are_written_where_bazel_wants_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        let mut protocol = read(&[]).expect("reads");
        protocol.shard_status = Some(file("shard"));
        protocol.premature_exit = Some(file("premature"));
        protocol.infrastructure_failure = Some(file("infrastructure"));
        protocol.begin().expect("begins");
        assert!(file("shard").exists() && file("premature").exists());
        protocol.infrastructure_failure("emulator", "gone\nmore").expect("writes");
        assert_eq!(fs::read_to_string(file("infrastructure")).expect("reads"), "emulator\ngone\n");
        protocol.end().expect("ends");
        assert!(!file("premature").exists());
    }
}
