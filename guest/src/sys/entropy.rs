//! The kernel's random numbers.

#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

/// `RNDRESEEDCRNG`, include/uapi/linux/random.h: all CPUs draw from the pool as it is now.
const RESEED: libc::Ioctl = 0x5207;

/// Mixes `bytes` into the kernel's pool, and lets everything that is drawn from here on depend on them.
///
/// # Errors
/// That of the kernel.
pub fn mix(bytes: &[u8]) -> io::Result<()> {
    let mut pool = OpenOptions::new().write(true).open("/dev/urandom")?;
    pool.write_all(bytes)?;
    // SAFETY: the descriptor is open, and the call takes no argument.
    match unsafe { libc::ioctl(pool.as_raw_fd(), RESEED) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
