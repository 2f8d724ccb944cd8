//! `ktstr nested`: one command on a saved host for virtual machines, whose `/dev/kvm` is genuine though everything is emulated.
//!
//! The file of the request is written by the rule `nested_test`; its paths are below the directory in which the command runs. The save is
//! that of `ktstr snapshot` for a request with `virtualization`.

use super::signals::Signals;
use super::{Origin, Shell};
use crate::backend::Choice;
use crate::cli::{NestedArgs, ShellOptions};
use crate::inputs::Emulator;
use crate::session::{host, usage, SessionError};
use ktstr_model::topology::TopologySpec;
use ktstr_model::{field, Backend, Clock};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    agent: PathBuf,
    busybox: PathBuf,
    command: String,
    emulator: Emulator,
    /// By their paths in the guest.
    files: BTreeMap<String, PathBuf>,
    snapshot: PathBuf,
    /// That of the save.
    topology: TopologySpec,
}

/// Runs a command; gives its exit status.
///
/// # Errors
/// What cannot be; a machine that does not come to its shell.
pub(crate) fn nested(args: &NestedArgs) -> Result<u8, SessionError> {
    let refuse = |problem: String| usage(format!("{}: {problem}", args.request.display()));
    let json = std::fs::read_to_string(&args.request).map_err(|error| refuse(error.to_string()))?;
    let request: Request = field::from_json(&json).map_err(|error| refuse(error.to_string()))?;
    let command = args.words.iter().fold(request.command, |command, word| format!("{command} {}", quoted(word)));
    let shell = Shell {
        topology: request.topology.resolve("topology").map_err(|error| refuse(error.to_string()))?,
        kernel_args: Vec::new(),
        scheduler: None,
        origin: Origin::Saved(request.snapshot),
        virtualization: true,
        release: String::new(),
        agent: request.agent,
        emulator: Some(request.emulator),
        backend: Choice { backend: Backend::Tcg, why: None },
        busybox: request.busybox,
        options: ShellOptions {
            topology: None,
            exec: Some(command),
            files: request.files.into_iter().collect(),
            detached: false,
            clock: Clock::Real,
            timeout: None,
        },
        others: Vec::new(),
    };
    shell.run(&Signals::install(None).map_err(host)?)
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_as_they_are() {
        assert_eq!(quoted("a b$c"), "'a b$c'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_request_that_cannot_be_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let refusal = |json: &str| {
            std::fs::write(file.path(), json).expect("writes");
            let error = nested(&NestedArgs { request: file.path().into(), words: Vec::new() }).expect_err("refused");
            (error.exit_status(), error.to_string())
        };
        let (status, text) = refusal(r#"{"agents": "a"}"#);
        assert!(status == 2 && text.contains("agents"), "{text}");
        let request = r#"{"agent": "a", "busybox": "/nowhere/busybox", "command": "true", "emulator": {"binary": "q"}, "files": {},
            "snapshot": "s", "topology": {"numa_nodes": 1, "llcs": 1, "cores_per_llc": 2, "threads_per_core": 1}}"#;
        let (status, text) = refusal(request);
        assert!(status == 2 && text.contains("/nowhere/busybox"), "{text}");
    }
}
