//! The fixture scheduler under test without Bazel's rules: `declaration ──ktstr run──▶ recordings, snapshots`.

use crate::{argument, Bare, Said, Target};
use ktstr_recording::Recording;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The program of the fixture.
///
/// # Panics
/// If it is not there: these tests run under Bazel.
#[must_use]
pub fn fixture() -> PathBuf {
    std::env::var_os("KTSTR_SCHEDULER").expect("run this under Bazel").into()
}

/// The declaration of the target `boots` as `t`, from a snapshot, for half a second, under the fixture with `arguments`; `more` fields.
///
/// # Panics
/// If `more` is no object.
#[must_use]
pub fn under_fixture(arguments: &[&str], more: &Value) -> Value {
    let file = std::fs::read(Target::new("boots").inputs().spec).expect("reads");
    let mut spec: Value = serde_json::from_slice(&file).expect("JSON");
    spec["name"] = json!("t");
    spec["start"] = json!("snapshot");
    spec["scenario"][0]["hold"]["seconds"] = json!(0.5);
    spec["scheduler"] = json!({"name": "scx-ktstr", "args": arguments, "attach_timeout": "8s"});
    let more = more.as_object().expect("fields");
    more.iter().for_each(|(field, value)| spec[field] = value.clone());
    spec
}

impl Bare {
    /// Runs a declaration with the fixture as its scheduler.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn run_fixture(&self, spec: &Value) -> Said {
        let path = self.path("t.json");
        std::fs::write(&path, spec.to_string()).expect("writes");
        self.run_file(&path, &["--scheduler", argument(&fixture())])
    }

    /// The recordings of `t` with so many seeds, by the names of their cases.
    ///
    /// # Panics
    /// If one is not there.
    #[must_use]
    pub fn recordings(&self, seeds: u32) -> BTreeMap<String, Recording> {
        let read = |seed: u32| {
            let path = self.path(&format!("out/t-1n2l1c1t-s{seed}.ktstr"));
            let recording = Recording::read(&path).expect("reads");
            (recording.header.case.name.clone(), recording)
        };
        (0..seeds).map(read).collect()
    }

    /// Snapshots whose names end in `suffix`.
    ///
    /// # Panics
    /// If there is no directory for them.
    #[must_use]
    pub fn snapshots(&self, suffix: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("out/snapshots")).expect("is there");
        let paths = entries.map(|entry| entry.expect("reads").path());
        paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with(suffix))).collect()
    }
}
