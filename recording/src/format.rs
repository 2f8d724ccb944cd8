//! How a recording lies in its file. All numbers are little-endian.
//!
//! ```text
//! 8 bytes    magic "ktstrrec"
//! u32        version of the format
//! records    each: u32 length of the body, u8 kind, u32 CRC-32 of kind and body, body
//!
//! kind 1  header   Header in JSON; the first record and only there
//! kind 2  guest    Event in postcard
//! kind 3  host     (HostNanos, HostEvent) in postcard
//! kind 4  console  bytes as the guest wrote them
//! kind 5  end      empty; the last record
//! kind 6  sample   (GuestNanos, Sample) in postcard
//! ```
//!
//! To change anything that is stored, in here or in the types of `ktstr_model` that it holds: add to the end of an enum, or
//! count [`FORMAT_VERSION`] up, which begins with the first release: until then it stays 1.

use ktstr_model::Case;
use serde::{Deserialize, Serialize};

/// First bytes of a recording.
pub(crate) const MAGIC: [u8; 8] = *b"ktstrrec";
/// Version that this program writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Magic and version.
pub(crate) const PREAMBLE_BYTES: usize = MAGIC.len() + 4;
/// Length, kind, CRC.
pub(crate) const RECORD_HEAD_BYTES: usize = 4 + 1 + 4;
/// Longest body. The largest is the header of a case with thousands of workers and segments.
pub(crate) const BODY_BYTES_MAX: usize = 256 << 20;

/// Kinds of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Header = 1,
    Guest = 2,
    Host = 3,
    Console = 4,
    End = 5,
    Sample = 6,
}

impl Kind {
    pub(crate) fn of(byte: u8) -> Option<Self> {
        let all = [Self::Header, Self::Guest, Self::Host, Self::Console, Self::End, Self::Sample];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What the recording is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The program that wrote it, with its version, for people.
    pub made_by: String,
    /// The case.
    pub case: Case,
}

pub(crate) fn checksum(kind: u8, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    crc.update(body);
    crc.finalize()
}
