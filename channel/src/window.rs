//! The window as a whole: made by the host, found by the guest, and the words of its header.

use crate::layout::{
    AT_DROPPED, AT_GO, AT_HEARTBEAT, AT_MAGIC, AT_OPS_DONE, AT_OPS_WANTED, AT_PAYLOAD_BYTES, AT_RING_BYTES, AT_VERSION,
    GO, HEADER_BYTES, MAGIC, PAYLOAD_OFFSET, RING_BYTES, RING_OFFSET, TERMINAL_OFFSET, VERSION, WINDOW_BYTES,
};
use crate::mapping::Mapping;
use rustix::fs::FallocateFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The window, mapped by either end.
#[derive(Debug)]
pub struct Window {
    pub(crate) mapping: Mapping,
    /// On the host, the file behind it.
    file: Option<(File, PathBuf)>,
}

/// A window that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The host cannot make the file or has no room for it.
    #[error("cannot {doing} the window {}{}", path.display(), no_room(source))]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The guest was told a place with something else in it.
    #[error("no window there: the first word is {seen:#018x} instead of {MAGIC:#018x}")]
    NotAWindow {
        /// The word where the magic should be.
        seen: u64,
    },
    /// The two ends are of different versions.
    #[error("the window is of version {seen}, this program knows version {VERSION}; build both from the same source")]
    OtherVersion {
        /// The window's version.
        seen: u64,
    },
    /// The header asks for more than the window has.
    #[error("the window's header says {payload} bytes of payload and {ring} bytes of ring: that is not possible")]
    Sizes {
        /// Bytes of payload.
        payload: u64,
        /// Bytes of ring.
        ring: u64,
    },
}

/// What to try about a full disk.
fn no_room(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull => ": free some space, or point TEST_TMPDIR (TMPDIR) to a larger disk",
        _ => "",
    }
}

/// Room that is taken beforehand, so that a full disk is an error here instead of a SIGBUS for whoever writes the first
/// page: most cases need no more of the ring.
const RING_BYTES_TAKEN: usize = 1 << 20;

impl Window {
    /// The host's end: makes a sparse file of [`WINDOW_BYTES`] and writes the header, all but the go word.
    ///
    /// # Errors
    /// [`WindowError::File`].
    pub fn create(path: &Path) -> Result<Self, WindowError> {
        Self::create_of(path, WINDOW_BYTES)
    }

    /// The same of so many bytes, [`WINDOW_BYTES`] or more: the payload of a larger window lies behind the ring, and takes all the room there.
    ///
    /// # Errors
    /// [`WindowError::File`].
    pub fn create_of(path: &Path, bytes: usize) -> Result<Self, WindowError> {
        let failed = |doing| move |source| WindowError::File { doing, path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path).map_err(failed("create"))?;
        file.set_len(bytes as u64).map_err(failed("size"))?;
        let mapping = Mapping::of_file(&file, bytes).map_err(failed("map"))?;
        let window = Self { mapping, file: Some((file, path.to_owned())) };
        window.take_room(0..HEADER_BYTES)?;
        window.take_room(RING_OFFSET..RING_OFFSET + RING_BYTES_TAKEN)?;
        window.mapping.store(AT_VERSION, VERSION);
        window.mapping.store(AT_RING_BYTES, RING_BYTES as u64);
        window.mapping.store(AT_MAGIC, MAGIC);
        Ok(window)
    }

    /// Takes room on the disk for a part of the window, on the host. File systems that cannot do that ahead have to be
    /// trusted.
    pub(crate) fn take_room(&self, part: Range<usize>) -> Result<(), WindowError> {
        let Some((file, path)) = &self.file else { return Ok(()) };
        match rustix::fs::fallocate(file, FallocateFlags::empty(), part.start as u64, part.len() as u64) {
            Err(error) if error != rustix::io::Errno::OPNOTSUPP => {
                Err(WindowError::File { doing: "make room for", path: path.clone(), source: error.into() })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn over(mapping: Mapping) -> Self {
        Self { mapping, file: None }
    }

    /// Whether there is a window of the right version. The host writes the header before the machine starts.
    ///
    /// # Errors
    /// What is there instead.
    pub fn check(&self) -> Result<(), WindowError> {
        let (magic, version) = (self.mapping.load(AT_MAGIC), self.mapping.load(AT_VERSION));
        let (payload, ring) = (self.mapping.load(AT_PAYLOAD_BYTES), self.mapping.load(AT_RING_BYTES));
        if magic != MAGIC {
            return Err(WindowError::NotAWindow { seen: magic });
        }
        if version != VERSION {
            return Err(WindowError::OtherVersion { seen: version });
        }
        if payload > self.payload_place().len() as u64 || ring != RING_BYTES as u64 {
            return Err(WindowError::Sizes { payload, ring });
        }
        Ok(())
    }

    /// The guest may go on. The host writes nothing behind that but how many of its ops are done.
    pub fn go(&self) {
        self.mapping.store(AT_GO, GO);
    }

    /// Whether the guest may go on; everything that the host wrote is there then.
    pub fn is_go(&self) -> bool {
        self.mapping.load(AT_GO) == GO
    }

    /// Which bytes of the window a payload may have.
    pub(crate) fn payload_place(&self) -> Range<usize> {
        match self.mapping.bytes() {
            WINDOW_BYTES => PAYLOAD_OFFSET..TERMINAL_OFFSET,
            bytes => WINDOW_BYTES..bytes,
        }
    }

    /// Which bytes of the window are the payload; cut to what is possible.
    pub fn payload_part(&self) -> Range<usize> {
        let bytes = usize::try_from(self.mapping.load(AT_PAYLOAD_BYTES)).unwrap_or(usize::MAX);
        let place = self.payload_place();
        place.start..place.start + bytes.min(place.len())
    }

    /// The guest shows that it is alive; once every [`crate::layout::HEARTBEAT_NANOS`].
    pub fn beat(&self) {
        self.mapping.store(AT_HEARTBEAT, self.beats().wrapping_add(1));
    }

    /// How often the guest has shown that it is alive.
    pub fn beats(&self) -> u64 {
        self.mapping.load(AT_HEARTBEAT)
    }

    /// The guest has an event that no frame can hold.
    pub fn drop_event(&self) {
        self.mapping.store(AT_DROPPED, self.dropped().wrapping_add(1));
    }

    /// Events that no frame could hold.
    pub fn dropped(&self) -> u64 {
        self.mapping.load(AT_DROPPED)
    }

    /// The guest has come to so many of the host's ops.
    pub fn want_ops(&self, count: u64) {
        self.mapping.store(AT_OPS_WANTED, count);
    }

    /// How many of the host's ops the guest has come to, as it says.
    pub fn ops_wanted(&self) -> u64 {
        self.mapping.load(AT_OPS_WANTED)
    }

    /// The host has done so many ops.
    pub fn ops_are_done(&self, count: u64) {
        self.mapping.store(AT_OPS_DONE, count);
    }

    /// How many ops the host has done. For the guest: the host counts for itself, since the guest can write here.
    pub fn ops_done(&self) -> u64 {
        self.mapping.load(AT_OPS_DONE)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A window of zeros, of which both ends can be had.
    pub(crate) fn in_memory() -> Window {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(WINDOW_BYTES as u64).expect("room");
        Window::over(Mapping::of_file(&file, WINDOW_BYTES).expect("mapped"))
    }

    #[test]
    fn both_ends_see_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("window");
        let host = Window::create(&path).expect("created");
        let file = OpenOptions::new().read(true).write(true).open(&path).expect("opened");
        let guest = Window::over(Mapping::of_file(&file, WINDOW_BYTES).expect("mapped"));
        guest.check().expect("a window");
        assert!(!guest.is_go());
        host.go();
        assert!(guest.is_go());
        guest.beat();
        guest.beat();
        guest.want_ops(7);
        host.ops_are_done(6);
        assert_eq!((host.beats(), host.ops_wanted(), guest.ops_done()), (2, 7, 6));
        use std::os::unix::fs::MetadataExt;
        assert!(file.metadata().expect("there").blocks() * 512 < 4 << 20, "the file is sparse");
    }

    #[test]
    fn something_else_is_no_window() {
        let window = in_memory();
        let refusal = || window.check().expect_err("refused").to_string();
        assert_eq!(refusal(), "no window there: the first word is 0x0000000000000000 instead of 0x6e6977727473746b");
        window.mapping.store(AT_MAGIC, MAGIC);
        window.mapping.store(AT_VERSION, 9);
        assert_eq!(
            refusal(),
            "the window is of version 9, this program knows version 3; build both from the same source"
        );
        window.mapping.store(AT_VERSION, VERSION);
        window.mapping.store(AT_PAYLOAD_BYTES, u64::MAX);
        assert_eq!(
            refusal(),
            "the window's header says 18446744073709551615 bytes of payload and 0 bytes of ring: that is not possible"
        );
        assert_eq!(window.payload_part(), PAYLOAD_OFFSET..TERMINAL_OFFSET);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = Window::create(Path::new("/nowhere/window")).expect_err("refused");
        assert_eq!(error.to_string(), "cannot create the window /nowhere/window");
        let full = WindowError::File {
            doing: "make room for",
            path: "/tmp/window".into(),
            source: io::ErrorKind::StorageFull.into(),
        };
        assert_eq!(
            full.to_string(),
            "cannot make room for the window /tmp/window: free some space, or point TEST_TMPDIR (TMPDIR) to a larger disk"
        );
    }
}
