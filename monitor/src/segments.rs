//! Guest-physical memory, as a machine, a save or a test gives it.

use ktstr_vmm::{Gpa, GuestMemory, MemoryError};
use std::ops::Range;

/// Bytes at guest-physical addresses. What is read while a guest runs may be torn.
pub trait Memory: Send + Sync {
    /// Fills `into` with the bytes from `at`.
    ///
    /// # Errors
    /// A part of the range is no memory, or the host cannot read it.
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError>;

    /// Writes `from` to the bytes from `at`. Not every memory can be written.
    ///
    /// # Errors
    /// A part of the range is no memory, or cannot be written.
    fn overwrite(&self, at: Gpa, _from: &[u8]) -> Result<(), MemoryError> {
        Err(MemoryError::ReadOnly { at })
    }

    /// Fills each of `parts` with the bytes from its address on.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn read_many(&self, parts: &mut [(Gpa, &mut [u8])]) -> Result<(), MemoryError> {
        parts.iter_mut().try_for_each(|(at, into)| self.read(*at, into))
    }

    /// Fills `into` with the same `pieces` of each of `objects`, those of one object behind each other, if it has a way for that which is cheaper
    /// than to read all of each; whether it has. Pieces are offsets in bytes, in ascending order, and `into` is as long as all of them for each object.
    /// If it has not, `into` is of no use.
    fn gather(&self, _objects: &[Gpa], _pieces: &[Range<usize>], _into: &mut [u8]) -> bool {
        false
    }

    /// Where there is memory, as start and bytes.
    fn ranges(&self) -> Vec<(Gpa, u64)>;
}

impl Memory for GuestMemory {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        Self::read(self, at, into)
    }

    fn overwrite(&self, at: Gpa, from: &[u8]) -> Result<(), MemoryError> {
        Self::write(self, at, from)
    }

    fn read_many(&self, parts: &mut [(Gpa, &mut [u8])]) -> Result<(), MemoryError> {
        Self::read_many(self, parts)
    }

    fn gather(&self, objects: &[Gpa], pieces: &[Range<usize>], into: &mut [u8]) -> bool {
        Self::gather(self, objects, pieces, into)
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        Self::ranges(self).collect()
    }
}

/// The little-endian word at `at`.
pub(crate) fn word(memory: &dyn Memory, at: Gpa) -> Result<u64, MemoryError> {
    let mut word = [0; 8];
    memory.read(at, &mut word)?;
    Ok(u64::from_le_bytes(word))
}
