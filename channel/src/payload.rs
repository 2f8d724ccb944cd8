//! What the host lays into the window before the start: named blobs.
//!
//! ```text
//! word 0               number of blobs
//! 4 words each         name (16 bytes, filled up with zeros), length in bytes, CRC-32 of the content
//! then the contents    in the same order, each filled up with zeros to whole words
//! ```

use crate::layout::{AT_PAYLOAD_BYTES, WORD};
use crate::window::{Window, WindowError};
use std::io::{self, Write};

/// Name of the blob that holds the agent.
pub const AGENT: &str = "agent";
/// Name of the blob that holds the plan: a [`ktstr_model::Plan`] in postcard.
pub const PLAN: &str = "plan";
/// Name of the blob that stands in place of the plan in a machine that is saved with the scheduler attached: a
/// [`ktstr_model::SchedulerPlan`] in postcard.
pub const ATTACH: &str = "attach";
/// Name of the blob that holds the files of the scheduler under test: an [`archive`](crate::archive).
pub const SCHEDULER: &str = "scheduler";
/// Name of the blob that stands in place of the plan in a machine with a shell: a [`ktstr_model::ShellPlan`] in postcard.
pub const SHELL: &str = "shell";
/// Name of the blob that holds the tools of a shell and the files that were added to them: an [`archive`](crate::archive).
pub const FILES: &str = "files";

/// Where the tools of a shell are in the guest: one program of many names.
pub const TOOLS: &str = "/bin/busybox";
/// Where the program of the scheduler is in the guest, under the name of the scheduler.
pub const SCHEDULER_PROGRAMS: &str = "/run/ktstr/bin";
/// Where the libraries of the scheduler are in the guest.
pub const SCHEDULER_LIBRARIES: &str = "/run/ktstr/lib";
/// Where the kernel's configuration is in the guest, if it is known. Programs look for it under the name of the release, too.
pub const KERNEL_CONFIG: &str = "/boot/config";

/// Most blobs of a payload.
const BLOBS_MAX: u64 = 16;
const NAME_BYTES: usize = 16;
const ENTRY_WORDS: usize = 4;
/// Words that are copied at once.
const CHUNK_WORDS: usize = 8192;

/// A part of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub name: String,
    /// Bytes of its content.
    pub bytes: usize,
    offset: usize,
    crc: u32,
}

/// A payload that cannot be laid or read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// More than the window holds.
    #[error("the payload has {bytes} bytes, the window holds {most}")]
    TooLarge {
        /// How many.
        bytes: usize,
        /// How many it holds.
        most: usize,
    },
    /// The host has no room for it.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// The host's own mistake.
    #[error("{names} cannot be the names of a payload: at most {BLOBS_MAX} of at most {NAME_BYTES} bytes each")]
    Names {
        /// All of them.
        names: String,
    },
    /// The table says something that cannot be.
    #[error("the payload's table is damaged: {problem}")]
    Table {
        /// What it says.
        problem: String,
    },
    /// The content is not what the host laid there.
    #[error("{name} in the payload is damaged: its CRC is {seen:#010x} instead of {expected:#010x}")]
    Content {
        /// Of which blob.
        name: String,
        /// Of what is there.
        seen: u32,
        /// Of what was laid there.
        expected: u32,
    },
    /// There is no such blob.
    #[error("there is no {name} in the payload, only {known}")]
    Missing {
        /// Which.
        name: String,
        /// What there is.
        known: String,
    },
    /// The content cannot be written on.
    #[error("cannot write {name}")]
    Write {
        /// Which blob.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

/// Lays blobs into the window, on the host, before the go word.
///
/// # Errors
/// [`PayloadError::TooLarge`], [`PayloadError::Names`], [`PayloadError::Window`].
pub fn lay(window: &Window, blobs: &[(&str, &[u8])]) -> Result<(), PayloadError> {
    let mut words = vec![blobs.len() as u64];
    for (name, content) in blobs {
        if blobs.len() as u64 > BLOBS_MAX || name.len() > NAME_BYTES || name.is_empty() {
            let names: Vec<&str> = blobs.iter().map(|(name, _)| *name).collect();
            return Err(PayloadError::Names { names: names.join(", ") });
        }
        let mut padded = [0; NAME_BYTES];
        padded.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        words.extend(to_words(&padded));
        words.extend([content.len() as u64, u64::from(crc32fast::hash(content))]);
    }
    blobs.iter().for_each(|(_, content)| words.extend(to_words(content)));
    let bytes = words.len() * WORD;
    let place = window.payload_place();
    let too_large = PayloadError::TooLarge { bytes, most: place.len() };
    if bytes > place.len() {
        return Err(too_large);
    }
    window.take_room(place.start..place.start + bytes)?;
    if !window.mapping.write(place.start, &words) {
        return Err(too_large);
    }
    window.mapping.store(AT_PAYLOAD_BYTES, bytes as u64);
    Ok(())
}

/// The table of the payload, in the guest, after the go word.
///
/// # Errors
/// [`PayloadError::Table`].
pub fn blobs(window: &Window) -> Result<Vec<Blob>, PayloadError> {
    let damaged = |problem: String| PayloadError::Table { problem };
    let part = window.payload_part();
    let count = window.mapping.load(part.start);
    if count == 0 || count > BLOBS_MAX {
        return Err(damaged(format!("{count} blobs")));
    }
    let mut table = vec![0; count as usize * ENTRY_WORDS];
    let mut offset = part.start + WORD + table.len() * WORD;
    if offset > part.end || !window.mapping.read(part.start + WORD, &mut table) {
        return Err(damaged(format!("{count} blobs in {} bytes", part.len())));
    }
    let mut blobs = Vec::new();
    for entry in table.chunks_exact(ENTRY_WORDS) {
        let [first, second, bytes, crc] = entry else { continue };
        let name: Vec<u8> = [first.to_le_bytes(), second.to_le_bytes()].concat();
        let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
        let within =
            |bytes: &usize| bytes.checked_next_multiple_of(WORD).is_some_and(|words| words <= part.end - offset);
        let fits = usize::try_from(*bytes).ok().filter(within);
        let (Some(bytes), Ok(crc)) = (fits, u32::try_from(*crc)) else {
            return Err(damaged(format!("{name} of {bytes} bytes at offset {offset:#x}")));
        };
        blobs.push(Blob { name, bytes, offset, crc });
        offset += bytes.next_multiple_of(WORD);
    }
    Ok(blobs)
}

/// The blob with a name.
///
/// # Errors
/// [`PayloadError::Missing`], with what there is.
pub fn find<'a>(blobs: &'a [Blob], name: &str) -> Result<&'a Blob, PayloadError> {
    blobs.iter().find(|blob| blob.name == name).ok_or_else(|| PayloadError::Missing {
        name: name.into(),
        known: blobs.iter().map(|blob| blob.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// Writes the content of a blob to `to` and checks it on the way.
///
/// # Errors
/// [`PayloadError::Content`], [`PayloadError::Write`].
pub fn unpack(window: &Window, blob: &Blob, mut to: impl Write) -> Result<(), PayloadError> {
    let mut crc = crc32fast::Hasher::new();
    let mut chunk = vec![0u64; CHUNK_WORDS.min(blob.bytes.div_ceil(WORD))];
    let mut bytes = Vec::with_capacity(chunk.len() * WORD);
    let mut done = 0;
    while done < blob.bytes {
        let now = (blob.bytes - done).min(CHUNK_WORDS * WORD);
        chunk.truncate(now.div_ceil(WORD));
        if !window.mapping.read(blob.offset + done, &mut chunk) {
            return Err(PayloadError::Table { problem: format!("{} reaches over the end", blob.name) });
        }
        bytes.clear();
        add_bytes(&mut bytes, &chunk);
        bytes.truncate(now);
        crc.update(&bytes);
        to.write_all(&bytes).map_err(|source| PayloadError::Write { name: blob.name.clone(), source })?;
        done += now;
    }
    let seen = crc.finalize();
    if seen != blob.crc {
        return Err(PayloadError::Content { name: blob.name.clone(), seen, expected: blob.crc });
    }
    Ok(())
}

/// Adds the bytes of `words`. Word by word: one iterator over all bytes is slow, and the guest takes its programs in this way.
pub(crate) fn add_bytes(bytes: &mut Vec<u8>, words: &[u64]) {
    bytes.reserve(words.len() * WORD);
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

/// Bytes as words, filled up with zeros.
pub(crate) fn to_words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks(WORD).map(|chunk| {
        let mut word = [0; WORD];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{LARGE_WINDOW_BYTES, PAYLOAD_BYTES_MAX, PAYLOAD_OFFSET, WINDOW_BYTES};
    use crate::window::tests::in_memory;
    use proptest::prelude::*;

    fn unpacked(window: &Window) -> Vec<(String, Vec<u8>)> {
        let blobs = blobs(window).expect("a table");
        let content = |blob: &Blob| {
            let mut bytes = Vec::new();
            unpack(window, blob, &mut bytes).expect("whole");
            bytes
        };
        blobs.iter().map(|blob| (blob.name.clone(), content(blob))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
        #[test]
        fn comes_out_as_it_went_in(agent: Vec<u8>, plan: Vec<u8>, large in 0usize..200_000) {
            let large: Vec<u8> = (0..large).map(|i| (i * 7) as u8).collect();
            let window = in_memory();
            lay(&window, &[(AGENT, &agent), (PLAN, &plan), ("large", &large)]).expect("laid");
            let expected = [(AGENT.to_owned(), agent), (PLAN.to_owned(), plan), ("large".to_owned(), large)];
            prop_assert_eq!(unpacked(&window), expected);
        }

        #[test]
        fn a_damaged_table_never_panics(word in 0usize..12, value: u64) {
            let window = in_memory();
            lay(&window, &[(AGENT, b"agent agent"), (PLAN, b"plan")]).expect("laid");
            window.mapping.store(PAYLOAD_OFFSET + word * WORD, value);
            for blob in blobs(&window).unwrap_or_default() {
                let _ = unpack(&window, &blob, io::sink());
            }
        }
    }

    #[test]
    fn a_larger_window_has_room_for_a_larger_payload() {
        let directory = tempfile::tempdir().expect("a directory");
        let window = Window::create_of(&directory.path().join("window"), LARGE_WINDOW_BYTES).expect("made");
        let large = vec![7; PAYLOAD_BYTES_MAX];
        lay(&window, &[(AGENT, b"agent"), ("large", &large)]).expect("laid");
        window.check().expect("a window");
        assert_eq!(window.payload_part().start, WINDOW_BYTES);
        assert!(unpacked(&window) == [(AGENT.to_owned(), b"agent".to_vec()), ("large".to_owned(), large)]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let window = in_memory();
        let refusal = |error: Result<(), PayloadError>| error.expect_err("refused").to_string();
        let huge = vec![0; PAYLOAD_BYTES_MAX];
        assert_eq!(
            refusal(lay(&window, &[(AGENT, &huge)])),
            "the payload has 33288232 bytes, the window holds 33288192"
        );
        assert_eq!(
            refusal(lay(&window, &[("a name that is too long", b"")])),
            "a name that is too long cannot be the names of a payload: at most 16 of at most 16 bytes each"
        );
        lay(&window, &[(AGENT, b"agent agent"), (PLAN, b"plan")]).expect("laid");
        let table = blobs(&window).expect("a table");
        assert_eq!(
            find(&table, "pla").expect_err("missing").to_string(),
            "there is no pla in the payload, only agent, plan"
        );
        let length = PAYLOAD_OFFSET + 3 * WORD;
        window.mapping.store(length, u64::MAX);
        assert_eq!(
            blobs(&window).expect_err("refused").to_string(),
            "the payload's table is damaged: agent of 18446744073709551615 bytes at offset 0x1048"
        );
        window.mapping.store(length, 11);
        window.mapping.store(PAYLOAD_OFFSET + 9 * WORD, 0);
        assert_eq!(
            refusal(unpack(&window, find(&table, AGENT).expect("there"), io::sink())),
            "agent in the payload is damaged: its CRC is 0x898d4b2b instead of 0xe5510bf1"
        );
    }
}
