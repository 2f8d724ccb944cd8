//! The file that a machine shares with its guest, open.

use crate::memory::Segment;
use crate::memory_map::{window_at, WINDOW_BYTES_MAX};
use crate::spec::WINDOW_ALIGNMENT;
use crate::{Gpa, MachineSpec, StartError};
use std::fs::File;
use std::sync::Arc;

/// A window that is open, with its size and its place.
#[derive(Debug)]
pub(crate) struct OpenWindow {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    pub(crate) at: Gpa,
}

impl OpenWindow {
    /// Opens the window of `spec`, if it has one.
    pub(crate) fn of(spec: &MachineSpec) -> Result<Option<Self>, StartError> {
        let Some(path) = spec.window.as_deref() else { return Ok(None) };
        let unusable = |source| StartError::File { what: "window", path: path.into(), source };
        let file = File::options().read(true).write(true).open(path).map_err(unusable)?;
        let bytes = file.metadata().map_err(unusable)?.len();
        if bytes == 0 || bytes > WINDOW_BYTES_MAX || !bytes.is_multiple_of(WINDOW_ALIGNMENT) {
            return Err(StartError::WindowSize { path: path.into(), bytes, granule: WINDOW_ALIGNMENT });
        }
        Ok(Some(Self { file, bytes, at: window_at(&spec.topology) }))
    }

    /// As a part of the memory that is read from outside.
    pub(crate) fn into_segment(self) -> Segment {
        Segment::new(self.at, self.bytes, Arc::new(self.file), 0)
    }
}
