//! Snapshots: machines that booted once, for all cases with the same kernel, stage one, topology, command line, clock and emulator.
//!
//! ```text
//! kernel, stage one ──make──▶ file ──Snapshot::expand, once a process──▶ SavedMachine ──▶ machines with private memory
//! request.json ──request──▶ make      the action of Bazel that makes a snapshot
//! ktstr run ──store──▶ make           a directory of snapshots, each made when it is first wanted
//! ktstr replay ──find──▶ file         the one of which the recording has the digest
//! ```

mod find;
mod make;
mod request;
mod store;

pub(crate) use find::find;
pub(crate) use make::{kernel_line, make, MakeError, SnapshotOf};
pub(crate) use request::snapshot_file;
pub(crate) use store::Store;

use ktstr_model::case::Input;
use ktstr_vmm::{SavedError, SavedMachine};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};

/// A packed snapshot and, once a case needs it, its expansion.
#[derive(Debug)]
pub(crate) struct Snapshot {
    file: PathBuf,
    /// Name `snapshot`, and the digest of the packed file.
    input: Input,
    expanded: OnceCell<(tempfile::TempDir, SavedMachine)>,
}

/// A snapshot that no machine can start from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpandError {
    #[error("cannot make a directory for the snapshot in {}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("cannot expand the snapshot {}", path.display())]
    Saved { path: PathBuf, source: SavedError },
}

impl Snapshot {
    /// The snapshot in `file`, whose content has the digest `sha256`.
    pub(crate) fn new(file: PathBuf, sha256: String) -> Self {
        Self { file, input: Input { name: "snapshot".into(), sha256 }, expanded: OnceCell::new() }
    }

    /// What it adds to the key of a case.
    pub(crate) fn input(&self) -> &Input {
        &self.input
    }

    /// The machine to start from. It is expanded below `scratch` when the first case asks for it; all others share its pages.
    pub(crate) fn expand(&self, scratch: &Path) -> Result<&SavedMachine, ExpandError> {
        if let Some((_, saved)) = self.expanded.get() {
            return Ok(saved);
        }
        let directory = tempfile::Builder::new()
            .prefix("snapshot-")
            .tempdir_in(scratch)
            .map_err(|source| ExpandError::Directory { path: scratch.into(), source })?;
        let saved = SavedMachine::unpack(&self.file, directory.path())
            .map_err(|source| ExpandError::Saved { path: self.file.clone(), source })?;
        Ok(&self.expanded.get_or_init(|| (directory, saved)).1)
    }
}
