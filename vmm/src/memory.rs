//! Guest memory, read from outside at guest-physical addresses.
//!
//! RAM of a machine that was booted lies in files that the back end shares with the guest (`memfd`), so a read is one `pread` and nothing in the guest
//! notices. They are mapped here too, to copy many small pieces; they are sealed, since one that shrank would end this process. What
//! is private to a process is read and written through its `/proc/PID/mem`, many places with one call; what is written stays there and never comes into
//! the save that the machine started from. What is read while the machine runs may be torn: it is data of a running kernel. A write is one `pwrite`.

use crate::process_memory;
use rustix::fs::SealFlags;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// A guest-physical address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gpa(pub u64);

impl fmt::Display for Gpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A read or a write that memory cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Nothing readable lies there.
    #[error("no guest memory at {at} for {bytes} bytes from {start}")]
    Hole {
        /// Where the first of them is.
        start: Gpa,
        /// Its length.
        bytes: usize,
        /// The first address without memory.
        at: Gpa,
    },
    /// The host failed.
    #[error("cannot {doing} guest memory at {at}")]
    Host {
        /// Read or write.
        doing: &'static str,
        /// Where.
        at: Gpa,
        /// Why not.
        source: io::Error,
    },
    /// This is a memory that nobody writes.
    #[error("guest memory at {at} is only to be read")]
    ReadOnly {
        /// Where a write was tried.
        at: Gpa,
    },
}

/// A stretch of guest-physical addresses and where its bytes lie.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) start: Gpa,
    pub(crate) bytes: u64,
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    /// All of the file, if that is mapped here.
    mapping: Option<Arc<MmapRegion>>,
    /// What has to stay mapped for the file to have these bytes.
    _held: Option<Arc<dyn fmt::Debug + Send + Sync>>,
}

impl Segment {
    /// A stretch that lies in `file` from `offset` on.
    pub(crate) fn new(start: Gpa, bytes: u64, file: Arc<File>, offset: u64) -> Self {
        Self { start, bytes, file, offset, mapping: None, _held: None }
    }

    /// The same one, with its file as [`map`] has mapped it.
    pub(crate) fn mapped(self, mapping: Option<Arc<MmapRegion>>) -> Self {
        Self { mapping, ..self }
    }

    /// The same one, with what has to stay mapped for its file to have these bytes.
    pub(crate) fn holding(self, mapped: Arc<dyn fmt::Debug + Send + Sync>) -> Self {
        Self { _held: Some(mapped), ..self }
    }

    /// Offset in the file and bytes from there to the end of the segment, if `at` lies in it.
    fn locate(&self, at: Gpa) -> Option<(u64, u64)> {
        let within = at.0.checked_sub(self.start.0).filter(|within| *within < self.bytes)?;
        Some((self.offset + within, self.bytes - within))
    }

    /// Copies the bytes from `at` on; whether they are all mapped here.
    fn copy(&self, at: Gpa, into: &mut [u8]) -> bool {
        let fits = |(_, available): &(u64, u64)| *available >= into.len() as u64;
        let Some((offset, _)) = self.locate(at).filter(fits) else {
            return false;
        };
        let bytes = self.mapping.as_ref().and_then(|mapping| mapping.get_slice(offset as usize, into.len()).ok());
        bytes.map(|bytes| bytes.copy_to(into)).is_some()
    }
}

/// Maps all of a file that cannot shrink; none: it can, and would end this process. It is one mapping, since huge pages cannot be divided.
pub(crate) fn map(file: &Arc<File>) -> Option<Arc<MmapRegion>> {
    rustix::fs::fcntl_get_seals(file).ok().filter(|seals| seals.contains(SealFlags::SHRINK))?;
    let mapping = MmapRegionBuilder::new(file.metadata().ok()?.len().try_into().ok()?)
        .with_file_offset(FileOffset::from_arc(file.clone(), 0))
        .with_mmap_prot(libc::PROT_READ)
        .with_mmap_flags(libc::MAP_SHARED | libc::MAP_NORESERVE);
    mapping.build().map(Arc::new).ok()
}

/// All memory of a machine that can be read from outside; clones share it.
#[derive(Debug, Clone)]
pub struct GuestMemory {
    segments: Arc<[Segment]>,
    /// A process, and the file that is its memory.
    process: Option<(u32, Arc<File>)>,
}

impl GuestMemory {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        Self { segments: segments.into(), process: None }
    }

    /// Says that `file` is the memory of the process `pid`.
    pub(crate) fn of_process(self, pid: u32, file: Arc<File>) -> Self {
        Self { process: Some((pid, file)), ..self }
    }

    /// Fills `into` with the bytes from `start`.
    ///
    /// # Errors
    /// A part of the range is not memory, or the host cannot read it; `into` is then partly filled.
    pub fn read(&self, start: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        let mut rest = into;
        let bytes = rest.len();
        self.for_each_part(start, bytes, |file, offset, length, at| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(length);
            rest = later;
            file.read_exact_at(now, offset).map_err(|source| MemoryError::Host { doing: "read", at, source })
        })
    }

    /// Writes `from` to the bytes from `start`. A guest that runs may see a part of it before the rest.
    ///
    /// # Errors
    /// A part of the range is not memory, or the host cannot write it; `from` is then partly written.
    pub fn write(&self, start: Gpa, from: &[u8]) -> Result<(), MemoryError> {
        let mut rest = from;
        self.for_each_part(start, from.len(), |file, offset, length, at| {
            let (now, later) = rest.split_at(length);
            rest = later;
            file.write_all_at(now, offset).map_err(|source| MemoryError::Host { doing: "write", at, source })
        })
    }

    /// Fills `into` with the same `pieces` of each of `objects`, those of one object behind each other, if all of them are mapped here. Otherwise
    /// this is false, and `into` is of no use.
    pub fn gather(&self, objects: &[Gpa], pieces: &[Range<usize>], into: &mut [u8]) -> bool {
        let mut rest = into;
        objects.iter().flat_map(|object| pieces.iter().map(move |piece| (object, piece))).all(|(object, piece)| {
            let Some((now, later)) = std::mem::take(&mut rest).split_at_mut_checked(piece.len()) else { return false };
            rest = later;
            let at = Gpa(object.0.saturating_add(piece.start as u64));
            self.segments.iter().any(|segment| segment.copy(at, now))
        })
    }

    /// Where the bytes from `start` lie, in parts: the file, the offset in it, how many, and where the guest has them.
    fn for_each_part(
        &self,
        start: Gpa,
        bytes: usize,
        mut take: impl FnMut(&File, u64, usize, Gpa) -> Result<(), MemoryError>,
    ) -> Result<(), MemoryError> {
        let (mut left, mut at) = (bytes, start);
        while left > 0 {
            let found = self.segments.iter().find_map(|segment| Some((segment, segment.locate(at)?)));
            let (segment, (offset, available)) = found.ok_or(MemoryError::Hole { start, bytes, at })?;
            let length = left.min(usize::try_from(available).unwrap_or(usize::MAX));
            take(&segment.file, offset, length, at)?;
            at = Gpa(at.0.saturating_add(length as u64));
            left -= length;
        }
        Ok(())
    }

    /// Fills each of `parts` with the bytes from its address on: with one call for all, where they are private to a process.
    ///
    /// # Errors
    /// As [`GuestMemory::read`].
    pub fn read_many(&self, parts: &mut [(Gpa, &mut [u8])]) -> Result<(), MemoryError> {
        if let Some((pid, file)) = &self.process {
            // Where a part is in the process, if it is in one piece.
            let place = |at: Gpa, bytes: usize| {
                self.segments.iter().find_map(|segment| {
                    let (offset, available) = segment.locate(at)?;
                    (Arc::ptr_eq(&segment.file, file) && available >= bytes as u64).then_some(offset)
                })
            };
            let places: Option<Vec<(u64, &mut [u8])>> =
                parts.iter_mut().map(|(at, into)| Some((place(*at, into.len())?, &mut **into))).collect();
            // A process that has gone away may have left its number to another one, but not its memory.
            if places.is_some_and(|mut places| process_memory::read(*pid, &mut places)) && self.is_there(file) {
                return Ok(());
            }
        }
        parts.iter_mut().try_for_each(|(at, into)| self.read(*at, into))
    }

    fn is_there(&self, file: &Arc<File>) -> bool {
        let segment = self.segments.iter().find(|segment| Arc::ptr_eq(&segment.file, file));
        segment.is_some_and(|segment| file.read_exact_at(&mut [0], segment.offset).is_ok())
    }

    /// The little-endian 64-bit word at `at`.
    ///
    /// # Errors
    /// As [`GuestMemory::read`].
    pub fn read_u64(&self, at: Gpa) -> Result<u64, MemoryError> {
        let mut word = [0; 8];
        self.read(at, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// The ranges that can be read, as start and bytes.
    pub fn ranges(&self) -> impl Iterator<Item = (Gpa, u64)> + '_ {
        self.segments.iter().map(|segment| (segment.start, segment.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Two adjacent segments in swapped order of one file, then a hole.
    fn memory() -> GuestMemory {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"efghABCD").expect("writes");
        let file = Arc::new(file);
        let segment = |start, offset| Segment::new(Gpa(start), 4, file.clone(), offset);
        GuestMemory::new(vec![segment(0x1000, 4), segment(0x1004, 0)])
    }

    #[test]
    fn a_read_may_cross_segments() {
        let mut seen = [0; 6];
        memory().read(Gpa(0x1002), &mut seen).expect("reads");
        assert_eq!(&seen, b"CDefgh");
        assert_eq!(memory().read_u64(Gpa(0x1000)).expect("reads"), u64::from_le_bytes(*b"ABCDefgh"));
    }

    #[test]
    fn a_write_may_cross_segments() {
        let memory = memory();
        memory.write(Gpa(0x1002), b"!?+-").expect("writes");
        let mut seen = [0; 8];
        memory.read(Gpa(0x1000), &mut seen).expect("reads");
        assert_eq!(&seen, b"AB!?+-gh");
        let error = memory.write(Gpa(0x1007), b"xy").expect_err("refused").to_string();
        assert_eq!(error, "no guest memory at 0x1008 for 2 bytes from 0x1007");
    }

    #[test]
    fn a_file_that_cannot_shrink_is_read_where_it_is_mapped() {
        let flags = rustix::fs::MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("memory", flags).expect("a file"));
        file.write_all(&[b'a'; 4096]).expect("writes");
        file.write_all(b"0123456789").expect("writes");
        file.set_len(8192).expect("grows");
        let pieces = [0..2, 5..6];
        let gathered = |file: &File, last| {
            let file = Arc::new(file.try_clone().expect("clones"));
            let mapping = map(&file);
            // The second one says more than the file has.
            let segments = [(0x1000, 4096, 4096), (0x8000, 9000, 0)];
            let segment =
                |(start, bytes, offset)| Segment::new(Gpa(start), bytes, file.clone(), offset).mapped(mapping.clone());
            let memory = GuestMemory::new(segments.map(segment).to_vec());
            let mut into = [0; 6];
            memory.gather(&[Gpa(0x1001), Gpa(last)], &pieces, &mut into).then_some(into)
        };
        assert_eq!(gathered(&file, 0x1004), None, "it is not sealed");
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK).expect("seals");
        assert_eq!(gathered(&file, 0x1004), Some(*b"126459"));
        assert_eq!(gathered(&file, 0x1ffb), None, "it ends behind the end");
        assert_eq!(gathered(&file, 0xfff), None, "it begins before the beginning");
        assert_eq!(gathered(&file, u64::MAX), None);
        assert_eq!(gathered(&file, 0x8fff), Some(*b"126a04"));
        assert_eq!(gathered(&file, 0x9ffb), None, "the file ends before");
    }

    #[test]
    fn many_reads_are_as_one_each() {
        let content = b"0123456789abcdef".to_vec();
        let own = Arc::new(File::open("/proc/self/mem").expect("opens"));
        let mut segments = memory().segments.to_vec();
        let (offset, file) = (content.as_ptr() as u64, own.clone());
        segments.push(Segment::new(Gpa(0x2000), 16, file, offset));
        let memory = GuestMemory::new(segments).of_process(std::process::id(), own);
        // All in the process; one of them elsewhere; one beyond the end.
        for (other, expected) in [(0x2009, Some(b"9ab")), (0x1000, Some(b"ABC")), (0x200e, None)] {
            let (mut first, mut second) = ([0; 2], [0; 3]);
            let read = memory.read_many(&mut [(Gpa(0x2001), &mut first), (Gpa(other), &mut second)]);
            assert_eq!(read.ok().map(|()| (&first, &second)), expected.map(|expected| (b"12", expected)));
        }
        // Another process may have the number by now.
        let gone = tempfile::tempfile().map(Arc::new).expect("a file");
        let segment = Segment::new(Gpa(0), 4, gone.clone(), offset);
        let memory = GuestMemory::new(vec![segment]).of_process(std::process::id(), gone);
        assert!(memory.read_many(&mut [(Gpa(0), &mut [0; 4])]).is_err());
    }

    #[test]
    fn a_read_beyond_is_refused_with_the_first_missing_address() {
        let error = memory().read(Gpa(0x1002), &mut [0; 7]).expect_err("refused").to_string();
        assert_eq!(error, "no guest memory at 0x1008 for 7 bytes from 0x1002");
        let error = memory().read(Gpa(u64::MAX), &mut [0; 7]).expect_err("refused").to_string();
        assert!(error.starts_with("no guest memory at 0xffffffffffffffff"), "{error}");
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let memory = memory();
        memory.segments.first().expect("a segment").file.set_len(6).expect("shrinks");
        let error = memory.read(Gpa(0x1000), &mut [0; 4]).expect_err("refused").to_string();
        assert_eq!(error, "cannot read guest memory at 0x1000");
    }
}
