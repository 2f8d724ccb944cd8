//! A door for fuzz targets (feature `fuzzing`): what takes a guest's accesses and a save's state, without a KVM.

use super::devices::{Devices, Effect};
use super::registers::DevicesState;
use super::save::State;
use crate::memory::{map, Segment};
use crate::{Gpa, GuestMemory, StartError};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

/// The devices of a machine, as the thread of a CPU has them.
pub struct Ports(Devices);

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.state().fmt(f)
    }
}

impl Ports {
    /// Devices with the registers that `state` holds in a save, or with those of a new machine if it holds none.
    ///
    /// # Errors
    /// The serial port does not take its registers, or the host has no event to give.
    pub fn new(console: File, state: &[u8], saves: bool) -> io::Result<Self> {
        let state: DevicesState = postcard::from_bytes(state).unwrap_or_default();
        Devices::new(console, EventFd::new(EFD_NONBLOCK)?, &state, saves).map(Self)
    }

    /// Writes; gives the effect on the machine, if there is one, in words.
    pub fn write(&self, port: u16, data: &[u8]) -> Option<String> {
        let effect = self.0.write(port, data);
        (effect != Effect::None).then(|| format!("{effect:?}"))
    }

    /// Reads.
    pub fn read(&self, port: u16, data: &mut [u8]) {
        self.0.read(port, data);
    }

    /// All registers, as in a save.
    pub fn state(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.0.state()).unwrap_or_default()
    }
}

/// Reads the file `state` of a save, up to where a machine would take it.
///
/// # Errors
/// As a start from that save.
pub fn read_state(directory: &Path) -> Result<(), StartError> {
    State::read(directory).map(drop)
}

/// Memory of these segments: start, bytes, offset in `file`.
pub fn memory(file: File, segments: &[(u64, u64, u64)]) -> GuestMemory {
    let file = Arc::new(file);
    let mapping = map(&file);
    let segment = |(start, bytes, offset): &(u64, u64, u64)| {
        Segment::new(Gpa(*start), *bytes, file.clone(), *offset).mapped(mapping.clone())
    };
    GuestMemory::new(segments.iter().map(segment).collect())
}

/// Memory that is somewhere in this process: start, bytes, where they are in it.
///
/// # Errors
/// The host has no `/proc/self/mem`.
pub fn own_memory(segments: &[(u64, u64, u64)]) -> io::Result<GuestMemory> {
    let own = Arc::new(File::open("/proc/self/mem")?);
    let segment = |(start, bytes, offset): &(u64, u64, u64)| Segment::new(Gpa(*start), *bytes, own.clone(), *offset);
    Ok(GuestMemory::new(segments.iter().map(segment).collect()).of_process(std::process::id(), own.clone()))
}
