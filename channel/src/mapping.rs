//! Memory that another machine or process writes at the same time. The only unsafe code of the crate.
//!
//! All accesses are to aligned words of 8 bytes through atomics: another writer can make a value meaningless, but never the
//! access undefined. Ranges are checked at each access.

#![allow(unsafe_code)]

use crate::layout::WORD;
use crate::window::Window;
use rustix::fd::AsFd;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A range of memory that is shared with someone else.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    /// Unmapped when dropped.
    owned: bool,
}

// SAFETY: all accesses go through atomics, from whichever thread.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// How long the range is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Maps the first `bytes` of a file, shared.
    pub(crate) fn of_file(file: impl AsFd, bytes: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { start, bytes, owned: true })
    }

    /// Memory that someone else has mapped.
    ///
    /// # Safety
    /// `start` is a multiple of 8. Each word of `start..start + bytes` that is accessed is mapped, for reading and writing,
    /// as long as the value lives, and this program accesses it in no other way.
    pub(crate) unsafe fn from_raw(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start, bytes, owned: false }
    }

    /// The words from `offset` on; none if one of them is not in the range.
    fn words(&self, offset: usize, count: usize) -> Option<&[AtomicU64]> {
        let end = count.checked_mul(WORD)?.checked_add(offset)?;
        if !offset.is_multiple_of(WORD) || end > self.bytes {
            return None;
        }
        // SAFETY: offset..end lies in the range, which is aligned and mapped as long as self lives (`of_file`, or the promise
        // of `from_raw`); an AtomicU64 has no invalid value and may be written by others.
        Some(unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset).cast(), count) })
    }

    /// The word at `offset`; 0 if there is none.
    pub(crate) fn load(&self, offset: usize) -> u64 {
        self.words(offset, 1).and_then(<[AtomicU64]>::first).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Sets the word at `offset`; everything that was written before is seen before. Outside of the range nothing is done.
    pub(crate) fn store(&self, offset: usize, value: u64) {
        if let Some(word) = self.words(offset, 1).and_then(<[AtomicU64]>::first) {
            word.store(value, Ordering::Release);
        }
    }

    /// Copies words from `offset` into `to`; says whether they are in the range.
    #[must_use]
    pub(crate) fn read(&self, offset: usize, to: &mut [u64]) -> bool {
        let Some(words) = self.words(offset, to.len()) else { return false };
        to.iter_mut().zip(words).for_each(|(to, word)| *to = word.load(Ordering::Relaxed));
        true
    }

    /// Copies words to `offset`; says whether they are in the range.
    #[must_use]
    pub(crate) fn write(&self, offset: usize, from: &[u64]) -> bool {
        let Some(words) = self.words(offset, from.len()) else { return false };
        words.iter().zip(from).for_each(|(word, from)| word.store(*from, Ordering::Relaxed));
        true
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: `of_file` made this mapping and no reference into it outlives self. Failing would only keep it.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
        }
    }
}

impl Window {
    /// The guest's end: memory that it has mapped. [`Self::check`] says whether there is a window.
    ///
    /// # Safety
    /// `start` is a multiple of 8, and as long as the value lives, what is accessed of `start..start + bytes` is mapped
    /// and used in no other way: the header always, [`Self::payload_part`] for the payload,
    /// [`crate::RingWriter::parts`] for the ring.
    pub unsafe fn from_raw(start: NonNull<u8>, bytes: usize) -> Self {
        // SAFETY: the caller's promise is the same.
        Self::over(unsafe { Mapping::from_raw(start, bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_touched() {
        let mut memory = [7u64; 4];
        let start = NonNull::from(&mut memory).cast();
        // SAFETY: the words live longer than the mapping, and are used through it only.
        let mapping = unsafe { Mapping::from_raw(start, 24) };
        mapping.store(24, 1);
        mapping.store(4, 1);
        assert_eq!((mapping.load(16), mapping.load(24), mapping.load(12)), (7, 0, 0));
        assert!(!mapping.write(16, &[1, 1]) && !mapping.read(usize::MAX - 7, &mut [0, 0]));
        assert!(mapping.write(0, &[1, 2, 3]));
        drop(mapping);
        assert_eq!(memory, [1, 2, 3, 7]);
    }
}
