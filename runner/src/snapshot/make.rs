//! Makes a snapshot: `kernel, stage one ──boot──▶ save point ──pack──▶ file`.

use crate::image;
use crate::inputs::{check_arguments, InputError};
use ktstr_channel::payload::PayloadError;
use ktstr_channel::ports::SAVE_PARAMETER;
use ktstr_channel::{RingReader, Window, WindowError, LARGE_WINDOW_BYTES, WINDOW_BYTES};
use ktstr_model::event::GuestFailure;
use ktstr_model::{Clock, Placement, Topology, What};
use ktstr_vmm::{command_line, Gpa, MachineBackend, MachineSpec, SavedError, Start, StartError};
use std::path::{Path, PathBuf};

/// Of the boot. What a case draws at random comes from its own seed, which the agent mixes in.
pub(super) const SEED: u64 = 0;

/// What a snapshot is of.
#[derive(Debug)]
pub(crate) struct SnapshotOf<'a> {
    /// As a machine boots it.
    pub(crate) kernel: &'a Path,
    /// Stage one.
    pub(crate) init: &'a [u8],
    pub(crate) topology: &'a Topology,
    pub(crate) clock: Clock,
    /// Whether it is to boot machines itself.
    pub(crate) virtualization: bool,
    /// Added to the kernel's command line.
    pub(crate) kernel_args: &'a [String],
}

/// A snapshot that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot make the window")]
    Window(#[from] WindowError),
    #[error("stage one of the guest failed to {}: {}", .0.doing, .0.problem)]
    Guest(GuestFailure),
    #[error("cannot boot the machine of a snapshot")]
    Boot(#[source] StartError),
    #[error("cannot pack the plan of a machine that attaches a scheduler")]
    Plan(#[source] postcard::Error),
    #[error("cannot fill the window of a machine that attaches a scheduler")]
    Payload(#[source] PayloadError),
    #[error("cannot run a machine that attaches a scheduler")]
    Attach(#[source] StartError),
    #[error("cannot read what a snapshot is of")]
    Input(#[from] InputError),
    #[error("cannot start from the snapshot {} (delete it, and it is made again)", path.display())]
    From { path: PathBuf, source: SavedError },
    #[error("cannot pack the snapshot")]
    Pack(#[source] SavedError),
}

/// Boots a machine, saves it where stage one stops it, and packs the save into `output`. Files of the machine lie in the directory of
/// `output` meanwhile, sparse, up to the size of its memory. `stop` is asked often, and ends it.
pub(crate) fn make(
    backend: &dyn MachineBackend,
    of: &SnapshotOf<'_>,
    output: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<(), MakeError> {
    check_arguments(of.kernel, of.kernel_args)?;
    let directory = directory_beside(output)?;
    let at = |name: &str| directory.path().join(name);
    let initramfs = at("initramfs.cpio");
    std::fs::write(&initramfs, image::initramfs(of.init))
        .map_err(|source| MakeError::Write { path: initramfs.clone(), source })?;
    // The guest reaches its window before it is saved, and the host lays nothing into it.
    let window_bytes = window_bytes(of.virtualization);
    let window = Window::create_of(&at("window"), window_bytes)?;
    let spec = MachineSpec {
        start: Start::Boot,
        topology: of.topology.clone(),
        clock: of.clock,
        virtualization: of.virtualization,
        placement: Placement::default(),
        seed: SEED,
        instants: None,
        kernel: of.kernel.to_owned(),
        initramfs: Some(initramfs),
        command_line: line_with(backend.window_at(of.topology), window_bytes, of.kernel_args),
        window: Some(at("window")),
        directory: directory.path().to_owned(),
    };
    let mut give_up = |_| stop().then(|| "it was interrupted".to_owned());
    let saved = backend.save(&spec, &at("saved"), &mut give_up).map_err(|error| match guest_failure(&window) {
        Some(failure) => MakeError::Guest(failure),
        None => MakeError::Boot(error),
    })?;
    saved.pack(output).map_err(MakeError::Pack)
}

/// A directory for the files of a machine that is packed into `output`.
pub(super) fn directory_beside(output: &Path) -> Result<tempfile::TempDir, MakeError> {
    let beside = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = tempfile::Builder::new().prefix("snapshot-").tempdir_in(beside);
    directory.map_err(|source| MakeError::Write { path: beside.to_owned(), source })
}

/// The window of a machine that boots others has their kernels and programs in it.
pub(crate) fn window_bytes(virtualization: bool) -> usize {
    if virtualization {
        LARGE_WINDOW_BYTES
    } else {
        WINDOW_BYTES
    }
}

/// The command line of the kernel in a snapshot for cases.
pub(crate) fn kernel_line(window_at: Gpa, kernel_args: &[String]) -> String {
    line_with(window_at, WINDOW_BYTES, kernel_args)
}

fn line_with(window_at: Gpa, window_bytes: usize, kernel_args: &[String]) -> String {
    let arguments: Vec<String> =
        std::iter::once(SAVE_PARAMETER.to_owned()).chain(kernel_args.iter().cloned()).collect();
    command_line(Some((window_at, window_bytes as u64)), &arguments)
}

/// What the guest said in its window about why it could not go on.
fn guest_failure(window: &Window) -> Option<GuestFailure> {
    RingReader::default().poll(window).events.into_iter().find_map(|event| match event.what {
        What::Failed(failure) => Some(failure),
        _ => None,
    })
}
