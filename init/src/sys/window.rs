//! The window of guest memory that the host sees, mapped through `/dev/mem`.
//!
//! The kernel checks each page that is mapped (`range_is_allowed` in drivers/char/mem.c), at 800 instructions a page, and
//! tears the mapping down page by page when a program starts another. So only the parts that are used are mapped, when they
//! are first used, each at its place in a range of addresses as long as the window.

#![allow(unsafe_code)]

use ktstr_channel::layout::HEADER_BYTES;
use ktstr_channel::Window;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;

/// What is mapped at once.
const CHUNK: usize = 256 << 10;

/// The window, of which some chunks are mapped.
#[derive(Debug)]
pub struct WindowMapping {
    memory: OwnedFd,
    address: u64,
    start: NonNull<c_void>,
    mapped: Vec<bool>,
    window: Window,
}

impl WindowMapping {
    /// Finds the window of so many bytes at physical `address` of `memory` (`/dev/mem`), and maps its header. The addresses that it takes are
    /// never given back.
    ///
    /// # Errors
    /// That of the kernel, which may not have `/dev/mem` or not give this memory away.
    pub fn open(memory: &Path, address: u64, bytes: usize) -> io::Result<Self> {
        // Without O_SYNC the mapping is write-back cached like other memory.
        let memory = rustix::fs::open(memory, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::NORESERVE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, access, flags) }?;
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        // SAFETY: all of the range is mapped from here on (by zeroed memory where no chunk of the window is yet), is page
        // aligned, and is used through this value only.
        let window = unsafe { Window::from_raw(start.cast(), bytes) };
        let mut mapping = Self { memory, address, start, mapped: vec![false; bytes / CHUNK], window };
        mapping.need(0..HEADER_BYTES)?;
        Ok(mapping)
    }

    /// The window; what of it is used has to be mapped by [`Self::need`] before.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Maps `part` of the window, where that is not yet done.
    ///
    /// # Errors
    /// That of the kernel, or if the part is not in the window.
    pub fn need(&mut self, part: Range<usize>) -> io::Result<()> {
        for chunk in part.start / CHUNK..part.end.div_ceil(CHUNK) {
            match self.mapped.get(chunk) {
                Some(true) => {}
                Some(false) => self.map(chunk)?,
                None => return Err(io::Error::other(format!("{part:?} is not a part of the window"))),
            }
        }
        Ok(())
    }

    /// Maps a chunk that lies within the window. Children do not get it: they have nothing to tell the host, and copying the
    /// page tables would be most of the cost of a fork.
    fn map(&mut self, chunk: usize) -> io::Result<()> {
        let Some(mapped) = self.mapped.get_mut(chunk) else { return Ok(()) };
        let offset = chunk * CHUNK;
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::FIXED);
        // SAFETY: the chunk exists, so that it lies within the addresses that `open` took and nobody else uses; what is
        // replaced there is zeroed memory that nothing was written to. The physical memory is a device, which the kernel does
        // not use.
        unsafe {
            let place = self.start.as_ptr().byte_add(offset);
            rustix::mm::mmap(place, CHUNK, access, flags, &self.memory, self.address + offset as u64)?;
            rustix::mm::madvise(place, CHUNK, Advice::LinuxDontFork)?;
        }
        *mapped = true;
        Ok(())
    }
}
