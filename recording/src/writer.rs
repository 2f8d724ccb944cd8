//! Writes a recording while its case runs.

use crate::format::{checksum, Header, Kind, BODY_BYTES_MAX, FORMAT_VERSION, MAGIC};
use crate::host::{HostEvent, HostNanos};
use ktstr_model::{Event, GuestNanos, Sample};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes that are kept back until a flush.
const BUFFER_BYTES: usize = 256 << 10;

/// Appends records. The caller flushes about every 100 ms, so that a recording that is cut off holds almost everything.
#[derive(Debug)]
pub struct Writer<W: Write = File> {
    to: BufWriter<W>,
    path: PathBuf,
}

/// A recording that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refuses.
    #[error("cannot write the recording {}{}", path.display(), no_room(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No record can hold it.
    #[error("cannot write the recording {}: a record of {bytes} bytes, at most {BODY_BYTES_MAX} can be", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes of the record.
        bytes: usize,
    },
}

fn no_room(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": no room is left; free some space, or point --output (under Bazel: --output_user_root) to a larger disk"
        }
        io::ErrorKind::FileTooLarge => ": the limit of file sizes is reached; see `ulimit -f`",
        _ => "",
    }
}

impl Writer<File> {
    /// Makes the file and writes the header.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn create(path: &Path, header: &Header) -> Result<Self, WriteError> {
        let file = File::create(path).map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
        Self::new(file, path, header)
    }
}

impl<W: Write> Writer<W> {
    /// Writes to `to`; `path` is how messages call it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn new(to: W, path: &Path, header: &Header) -> Result<Self, WriteError> {
        let mut writer = Self { to: BufWriter::with_capacity(BUFFER_BYTES, to), path: path.to_owned() };
        let json = serde_json::to_vec(header).map_err(|error| writer.failed(error.into()))?;
        let preamble = [&MAGIC[..], &FORMAT_VERSION.to_le_bytes()].concat();
        writer.put(&preamble)?;
        writer.record(Kind::Header, &json)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Something that the guest said.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn guest(&mut self, event: &Event) -> Result<(), WriteError> {
        let body = postcard::to_stdvec(event).map_err(|error| self.failed(io::Error::other(error)))?;
        self.record(Kind::Guest, &body)
    }

    /// Something that the host did or saw. It is flushed.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn host(&mut self, at: HostNanos, event: &HostEvent) -> Result<(), WriteError> {
        let body = postcard::to_stdvec(&(at, event)).map_err(|error| self.failed(io::Error::other(error)))?;
        self.record(Kind::Host, &body)?;
        self.flush()
    }

    /// What the host saw of the guest's kernel, with the guest's own clock.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn sample(&mut self, at: GuestNanos, sample: &Sample) -> Result<(), WriteError> {
        let body = postcard::to_stdvec(&(at, sample)).map_err(|error| self.failed(io::Error::other(error)))?;
        self.record(Kind::Sample, &body)
    }

    /// Something that the guest wrote to its console.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn console(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        match bytes {
            [] => Ok(()),
            _ => self.record(Kind::Console, bytes),
        }
    }

    /// Hands everything to the file system.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.to.flush().map_err(|source| WriteError::Io { path: self.path.clone(), source })
    }

    /// Ends the recording and gives back what it was written to.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.record(Kind::End, &[])?;
        let Self { to, path } = self;
        to.into_inner().map_err(|error| WriteError::Io { path, source: error.into_error() })
    }

    fn record(&mut self, kind: Kind, body: &[u8]) -> Result<(), WriteError> {
        let too_large = || WriteError::TooLarge { path: self.path.clone(), bytes: body.len() };
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX).ok_or_else(too_large)?;
        self.put(&length.to_le_bytes())?;
        self.put(&[kind as u8])?;
        self.put(&checksum(kind as u8, body).to_le_bytes())?;
        self.put(body)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.to.write_all(bytes).map_err(|source| WriteError::Io { path: self.path.clone(), source })
    }

    fn failed(&self, source: io::Error) -> WriteError {
        WriteError::Io { path: self.path.clone(), source }
    }
}
