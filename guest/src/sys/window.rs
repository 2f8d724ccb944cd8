//! The window of guest memory that the host sees, mapped through `/dev/mem`.
//!
//! The kernel checks each page that is mapped (`range_is_allowed` in drivers/char/mem.c), at 800 instructions a page, and
//! tears the mapping down page by page when a program starts another. So only the parts that are used are mapped, each at
//! its place in a range of addresses as long as the window.

#![allow(unsafe_code)]

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

const PAGE: usize = 4096;

/// Addresses for the window, of which some parts are mapped. They are never given back.
#[derive(Debug)]
pub struct WindowMapping {
    memory: OwnedFd,
    address: u64,
    start: NonNull<c_void>,
    bytes: usize,
}

impl WindowMapping {
    /// Takes addresses for `bytes` of physical memory at `address`; no part is mapped yet.
    ///
    /// # Errors
    /// That of the kernel, which may not have `/dev/mem`.
    pub fn reserve(address: u64, bytes: usize) -> io::Result<Self> {
        // Without O_SYNC the mapping is write-back cached like other memory.
        let memory = rustix::fs::open("/dev/mem", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let start = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags)
        }?;
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { memory, address, start, bytes })
    }

    /// Maps the pages that hold `part`. Children do not get them: they have nothing to tell the host, and copying the page
    /// tables would be most of the cost of a fork.
    ///
    /// # Errors
    /// That of the kernel, which may not give this memory away, or if the part is not in the window.
    pub fn map(&self, part: Range<usize>) -> io::Result<()> {
        let first = part.start / PAGE * PAGE;
        let end = part.end.next_multiple_of(PAGE);
        if first >= end || end > self.bytes {
            return Err(io::Error::other(format!("{part:?} is not a part of a window of {} bytes", self.bytes)));
        }
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        let (access, offset) = (ProtFlags::READ | ProtFlags::WRITE, self.address + first as u64);
        // SAFETY: first..end lies within the addresses that `reserve` took and nobody else uses; what is replaced there is
        // zeroed memory or the same part of the window. The physical memory is a device, which the kernel does not use.
        unsafe {
            let place = self.start.as_ptr().byte_add(first);
            rustix::mm::mmap(place, end - first, access, flags, &self.memory, offset)?;
            rustix::mm::madvise(place, end - first, Advice::LinuxDontFork)?;
        }
        Ok(())
    }

    /// First byte of the window.
    pub fn start(&self) -> NonNull<u8> {
        self.start.cast()
    }
}
