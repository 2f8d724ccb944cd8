//! What the emulator is started with under the virtual clock: a library that makes its main loop wait for its CPUs (`gate/`).

use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::{self, Write};

static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gate.so"));

/// An open file with the library, for the dynamic loader of the emulator: directories for machines may forbid programs.
pub(super) fn make() -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("gate", MemfdFlags::CLOEXEC)?);
    file.write_all(LIBRARY)?;
    Ok(file)
}
