//! Reads a recording: everything up to the first damage, and where that is.

use crate::format::{checksum, Header, Kind, BODY_BYTES_MAX, FORMAT_VERSION, MAGIC, PREAMBLE_BYTES, RECORD_HEAD_BYTES};
use crate::hash::{GuestHash, Sha256Sum};
use crate::host::{CpuSteal, Ending, HostEvent, HostNanos};
use ktstr_model::{Dump, Event, GuestNanos, Sample};
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Everything that is known of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// What it is of.
    pub header: Header,
    /// In the order in which the host took note of them.
    pub entries: Vec<Entry>,
    /// What is wrong with the file after the entries; none: it is whole.
    pub damage: Option<Damage>,
    /// The rolling hash before the first guest event and after each.
    guest_sha256: Vec<Sha256Sum>,
}

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Something that the guest said.
    Guest(Event),
    /// Something that the host did or saw.
    Host(HostNanos, HostEvent),
    /// Something that the guest wrote to its console.
    Console(Vec<u8>),
    /// What the host saw of the guest's kernel, and when by the guest's own clock. Boxed, since most entries are small.
    Sample(GuestNanos, Box<Sample>),
}

/// Where a file stops being a recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the recording is damaged at byte {offset}: {problem}")]
pub struct Damage {
    /// Offset of the record in the file.
    pub offset: u64,
    /// What is wrong with it.
    pub problem: DamageProblem,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DamageProblem {
    /// The file ends after a whole record that is not the end.
    #[error("it ends there without an end record; whoever wrote it was stopped")]
    Cut,
    /// The file ends within a record.
    #[error("it ends within a record, of which {present} of {bytes} bytes are there; whoever wrote it was stopped")]
    Torn {
        /// Bytes of the record.
        bytes: u64,
        /// Bytes that are there.
        present: u64,
    },
    /// A length that no record has.
    #[error("a record of {bytes} bytes: at most {BODY_BYTES_MAX} can be")]
    Length {
        /// What it says.
        bytes: u32,
    },
    /// The content was changed.
    #[error("its CRC is {seen:#010x} instead of {expected:#010x}")]
    Crc {
        /// Of what is there.
        seen: u32,
        /// Of what was written.
        expected: u32,
    },
    /// Whole, but not of this format.
    #[error("{0}")]
    Content(String),
    /// Something follows the end.
    #[error("{bytes} bytes follow the end record")]
    AfterEnd {
        /// How many.
        bytes: u64,
    },
}

/// A file that is no recording that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refuses.
    #[error("cannot read the recording {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something else.
    #[error("{name} is not a recording: it does not begin with `{}`", MAGIC.escape_ascii())]
    NotARecording {
        /// The file.
        name: String,
    },
    /// Of another version.
    #[error(
        "{name} is a recording of format {seen}, this ktstr reads format {FORMAT_VERSION}; use the ktstr that wrote it"
    )]
    OtherVersion {
        /// The file.
        name: String,
        /// Its version.
        seen: u32,
    },
    /// Without its header nothing can be said.
    #[error("{name} says nothing: its header is damaged")]
    NoHeader {
        /// The file.
        name: String,
        /// What is wrong.
        source: Damage,
    },
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ReadError`]; damage behind the header is no error, see [`Recording::damage`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Io { path: path.to_owned(), source };
        // A device can have no end.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(ReadError::NotARecording { name: path.display().to_string() });
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        Self::from_bytes(&bytes, &path.display().to_string())
    }

    /// Reads the content of a file; `name` is how messages call it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, ReadError> {
        let name = || name.to_owned();
        let (preamble, records) = bytes.split_at_checked(PREAMBLE_BYTES).unwrap_or((bytes, &[]));
        let Some(version) = preamble.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk::<4>()) else {
            return Err(ReadError::NotARecording { name: name() });
        };
        let seen = u32::from_le_bytes(*version);
        if seen != FORMAT_VERSION {
            return Err(ReadError::OtherVersion { name: name(), seen });
        }
        let mut records = Records { bytes: records, offset: PREAMBLE_BYTES as u64 };
        let header = records.header().map_err(|source| ReadError::NoHeader { name: name(), source })?;
        let (mut entries, mut guest, mut guest_sha256) = (Vec::new(), GuestHash::default(), Vec::new());
        guest_sha256.push(guest.so_far());
        let read = records.read_entries(|entry, body| {
            if matches!(entry, Entry::Guest(_)) {
                guest.add(body);
                guest_sha256.push(guest.so_far());
            }
            entries.push(entry);
        });
        Ok(Self { header, entries, damage: read.err(), guest_sha256 })
    }

    /// What the guest said, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Guest(event) => Some(event),
            _ => None,
        })
    }

    /// What the host did and saw, in order.
    pub fn host_events(&self) -> impl Iterator<Item = (HostNanos, &HostEvent)> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Host(at, event) => Some((*at, event)),
            _ => None,
        })
    }

    /// What the host saw of the guest's kernel, in order.
    pub fn samples(&self) -> impl Iterator<Item = (GuestNanos, &Sample)> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Sample(at, sample) => Some((*at, &**sample)),
            _ => None,
        })
    }

    /// How the machine ended.
    pub fn ending(&self) -> Option<&Ending> {
        self.host_events().find_map(|(_, event)| match event {
            HostEvent::Ended(ending) => Some(ending),
            _ => None,
        })
    }

    /// The guest's kernel each time that something was over.
    pub fn dumps(&self) -> impl Iterator<Item = &Dump> {
        self.host_events().filter_map(|(_, event)| match event {
            HostEvent::Dump(dump) => Some(&**dump),
            _ => None,
        })
    }

    /// What the host took from each CPU; empty if it is not known.
    pub fn steal(&self) -> &[CpuSteal] {
        let steal = self.host_events().find_map(|(_, event)| match event {
            HostEvent::Steal(cpus) => Some(cpus.as_slice()),
            _ => None,
        });
        steal.unwrap_or_default()
    }

    /// Everything that the guest wrote to its console.
    pub fn console(&self) -> Vec<u8> {
        let parts = self.entries.iter().filter_map(|entry| match entry {
            Entry::Console(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        parts.collect::<Vec<_>>().concat()
    }

    /// The rolling hash over what the guest said, times included, after `events` events: what two runs of a case under the
    /// virtual clock have in common up to there. The host's part does not change it. None: there are not so many events.
    pub fn guest_sha256_after(&self, events: usize) -> Option<Sha256Sum> {
        self.guest_sha256.get(events).copied()
    }

    /// The rolling hash over everything that the guest said.
    pub fn guest_sha256(&self) -> Sha256Sum {
        // There is one more than there are events.
        self.guest_sha256.last().copied().unwrap_or_else(|| GuestHash::default().so_far())
    }
}

/// Reads one record after another.
struct Records<'a> {
    bytes: &'a [u8],
    offset: u64,
}

impl<'a> Records<'a> {
    fn damage(&self, problem: DamageProblem) -> Damage {
        Damage { offset: self.offset, problem }
    }

    fn header(&mut self) -> Result<Header, Damage> {
        let start = self.offset;
        let damage = |problem: String| Damage { offset: start, problem: DamageProblem::Content(problem) };
        match self.next()? {
            (Kind::Header, body) => {
                let parsed = serde_json::from_slice(body);
                let header: Header = parsed.map_err(|error| damage(format!("its header does not parse: {error}")))?;
                if !header.case.plan.is_within_bounds() {
                    return Err(damage("its plan has more workers or segments than a case may have".into()));
                }
                Ok(header)
            }
            (kind, _) => Err(damage(format!("the first record is {kind:?} instead of the header"))),
        }
    }

    /// Up to the end record; `take` gets each entry and the bytes that it is stored as.
    fn read_entries(&mut self, mut take: impl FnMut(Entry, &[u8])) -> Result<(), Damage> {
        loop {
            let offset = self.offset;
            let (kind, body) = self.next()?;
            let entry = match kind {
                Kind::Guest => decode(body, offset).map(Entry::Guest)?,
                Kind::Host => decode(body, offset).map(|(at, event)| Entry::Host(at, event))?,
                Kind::Console => Entry::Console(body.to_vec()),
                Kind::Sample => decode(body, offset).map(|(at, sample)| Entry::Sample(at, Box::new(sample)))?,
                Kind::Header => {
                    let problem = DamageProblem::Content("a second header".into());
                    return Err(Damage { offset, problem });
                }
                Kind::End if self.bytes.is_empty() => return Ok(()),
                Kind::End => return Err(self.damage(DamageProblem::AfterEnd { bytes: self.bytes.len() as u64 })),
            };
            take(entry, body);
        }
    }

    fn next(&mut self) -> Result<(Kind, &'a [u8]), Damage> {
        let torn = |bytes| self.damage(DamageProblem::Torn { bytes, present: self.bytes.len() as u64 });
        if self.bytes.is_empty() {
            return Err(self.damage(DamageProblem::Cut));
        }
        let (head, rest) =
            self.bytes.split_first_chunk::<RECORD_HEAD_BYTES>().ok_or_else(|| torn(RECORD_HEAD_BYTES as u64))?;
        let [l0, l1, l2, l3, kind, c0, c1, c2, c3] = *head;
        let (length, expected) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([c0, c1, c2, c3]));
        if length as usize > BODY_BYTES_MAX {
            return Err(self.damage(DamageProblem::Length { bytes: length }));
        }
        let bytes = RECORD_HEAD_BYTES as u64 + u64::from(length);
        let (body, rest) = rest.split_at_checked(length as usize).ok_or_else(|| torn(bytes))?;
        let seen = checksum(kind, body);
        if seen != expected {
            return Err(self.damage(DamageProblem::Crc { seen, expected }));
        }
        let unknown = || self.damage(DamageProblem::Content(format!("a record of the unknown kind {kind}")));
        let kind = Kind::of(kind).ok_or_else(unknown)?;
        self.bytes = rest;
        self.offset += bytes;
        Ok((kind, body))
    }
}

fn decode<T: DeserializeOwned>(body: &[u8], offset: u64) -> Result<T, Damage> {
    let damage = |error: &dyn fmt::Display| {
        let problem = format!("a record of {} bytes does not parse: {error}", body.len());
        Damage { offset, problem: DamageProblem::Content(problem) }
    };
    let (value, left) = postcard::take_from_bytes(body).map_err(|error| damage(&error))?;
    if !left.is_empty() {
        return Err(damage(&format_args!("{} bytes are left over", left.len())));
    }
    Ok(value)
}
