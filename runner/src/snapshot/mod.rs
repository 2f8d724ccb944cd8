//! Snapshots: machines that went as far as many cases go together. A *booted* one is for all cases with the same kernel, stage one,
//! topology, command line, clock and emulator; an *attached* one starts from it, and is for those with the same scheduler, arguments,
//! files and agent besides.
//!
//! ```text
//! kernel, stage one ──make──▶ file ──Expansion, one at a time──▶ SavedMachine ──▶ machines with private memory
//! file, agent, scheduler ──attach──▶ file, or why not
//! request.json ──request──▶ make, attach      the actions of Bazel that make snapshots
//! ktstr run ──store──▶ make, attach           a directory of snapshots, each made when it is first wanted
//! ktstr replay ──find──▶ file         the one of which the recording has the digest
//! ```

mod attach;
mod find;
mod make;
mod request;
mod store;

pub(crate) use attach::{attach, unattached, AttachmentOf};
pub(crate) use find::find;
pub(crate) use make::{kernel_line, make, window_bytes, MakeError, SnapshotOf};
pub(crate) use request::snapshot_file;
pub(crate) use store::{Store, ToAttach};

use ktstr_model::case::Input;
use ktstr_model::StartMode;
use ktstr_vmm::{SavedError, SavedMachine};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// A packed snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot {
    file: PathBuf,
    /// What it is called among the inputs of a case, and the digest of the packed file.
    input: Input,
}

/// The snapshot that is expanded at the moment: cases come topology by topology, and each expansion takes room.
#[derive(Debug, Default)]
pub(crate) struct Expansion {
    current: RefCell<Option<Expanded>>,
}

#[derive(Debug)]
struct Expanded {
    file: PathBuf,
    saved: SavedMachine,
    /// Goes when it is dropped.
    _directory: tempfile::TempDir,
}

/// A snapshot that no machine can start from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpandError {
    #[error("cannot make a directory for the snapshot in {}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("cannot expand the snapshot {} (delete it, and it is made again)", path.display())]
    Saved { path: PathBuf, source: SavedError },
}

impl Snapshot {
    /// The snapshot in `file`, whose content has the digest `sha256`, of the kind that cases of `mode` start from.
    pub(crate) fn new(mode: StartMode, file: PathBuf, sha256: String) -> Self {
        Self { file, input: Input { name: mode.name().into(), sha256 } }
    }

    /// What it adds to the key of a case.
    pub(crate) fn input(&self) -> &Input {
        &self.input
    }
}

impl Expansion {
    /// The machine to start from, for one case after the other: all of one snapshot share its pages. It is expanded below `scratch`, and
    /// whatever was expanded before goes.
    pub(crate) fn of(&self, snapshot: &Snapshot, scratch: &Path) -> Result<SavedMachine, ExpandError> {
        let mut current = self.current.borrow_mut();
        if let Some(expanded) = current.as_ref().filter(|expanded| expanded.file == snapshot.file) {
            return Ok(expanded.saved.clone());
        }
        *current = None;
        let directory = tempfile::Builder::new()
            .prefix("snapshot-")
            .tempdir_in(scratch)
            .map_err(|source| ExpandError::Directory { path: scratch.into(), source })?;
        let saved = SavedMachine::unpack(&snapshot.file, directory.path())
            .map_err(|source| ExpandError::Saved { path: snapshot.file.clone(), source })?;
        *current = Some(Expanded { file: snapshot.file.clone(), saved: saved.clone(), _directory: directory });
        Ok(saved)
    }
}
