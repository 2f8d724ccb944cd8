//! Frames: how one event lies in the ring.
//!
//! ```text
//! word 0          length of the body in bytes (low half), CRC-32 of length and body (high half)
//! then the body   an Event in postcard, filled up with zeros to whole words
//! ```
//!
//! The CRC covers the length, so that memory full of zeros is no frame.

use crate::layout::WORD;
use crate::payload::{add_bytes, to_words};
use ktstr_model::Event;

/// Longest body: an event of a machine with 1024 CPUs that share one LLC has about half of it.
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// An event that is ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    words: Vec<u64>,
}

/// An event that no frame can hold.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// More than [`BODY_BYTES_MAX`].
    #[error("an event of {bytes} bytes is too large for a frame of {BODY_BYTES_MAX}")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Postcard cannot write it.
    #[error("cannot encode the event")]
    Encode(#[from] postcard::Error),
}

/// What is wrong with words that should be a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameProblem {
    /// A length that no frame has.
    #[error("a frame of {bytes} bytes: at most {BODY_BYTES_MAX} can be")]
    Length {
        /// What it says.
        bytes: u32,
    },
    /// The frame does not end where the guest says that it does.
    #[error("torn: a frame of {bytes} bytes, of which {present} are there")]
    Torn {
        /// What it says.
        bytes: u32,
        /// What is there.
        present: usize,
    },
    /// The content was damaged.
    #[error("damaged: the CRC of {bytes} bytes is {seen:#010x} instead of {expected:#010x}")]
    Crc {
        /// Bytes of the body.
        bytes: u32,
        /// Of what is there.
        seen: u32,
        /// What the frame says.
        expected: u32,
    },
    /// Whole, but not an event.
    #[error("{bytes} bytes that are no event; are the guest and the host built from the same source?")]
    NoEvent {
        /// Bytes of the body.
        bytes: u32,
    },
}

impl Frame {
    /// Makes a frame of an event.
    ///
    /// # Errors
    /// If it is too large.
    pub fn encode(event: &Event) -> Result<Self, FrameError> {
        let body = postcard::to_stdvec(event)?;
        let length = match u32::try_from(body.len()) {
            Ok(length) if body.len() <= BODY_BYTES_MAX => length,
            _ => return Err(FrameError::TooLarge { bytes: body.len() }),
        };
        let head = u64::from(length) | u64::from(checksum(length, &body)) << 32;
        Ok(Self { words: std::iter::once(head).chain(to_words(&body)).collect() })
    }

    /// Its words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Reads the frame that `words` begin with, and how many of them it takes. `bytes` is a buffer to work in.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(words: &[u64], bytes: &mut Vec<u8>) -> Result<(Event, usize), FrameProblem> {
        let (head, rest) = words.split_first().unwrap_or((&0, &[]));
        let (length, expected) = (*head as u32, (*head >> 32) as u32);
        let size = length as usize;
        if size == 0 || size > BODY_BYTES_MAX {
            return Err(FrameProblem::Length { bytes: length });
        }
        let Some(body) = rest.get(..size.div_ceil(WORD)) else {
            return Err(FrameProblem::Torn { bytes: length, present: rest.len() * WORD });
        };
        bytes.clear();
        add_bytes(bytes, body);
        let padding = bytes.split_off(size);
        let seen = checksum(length, bytes);
        if seen != expected || padding.iter().any(|byte| *byte != 0) {
            return Err(FrameProblem::Crc { bytes: length, seen, expected });
        }
        let (event, left) = postcard::take_from_bytes(bytes).map_err(|_| FrameProblem::NoEvent { bytes: length })?;
        if !left.is_empty() {
            return Err(FrameProblem::NoEvent { bytes: length });
        }
        Ok((event, 1 + body.len()))
    }
}

fn checksum(length: u32, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length.to_le_bytes());
    crc.update(body);
    crc.finalize()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ktstr_model::event::{GuestFailure, WorkerReport};
    use ktstr_model::{GuestNanos, What};
    use proptest::prelude::*;

    pub(crate) fn any_event() -> impl Strategy<Value = Event> {
        let what = prop_oneof![
            Just(What::Ready),
            any::<u32>().prop_map(|segment| What::SegmentStarted { segment }),
            ("\\PC{0,60}", "\\PC{0,60}").prop_map(|(doing, problem)| What::Failed(GuestFailure { doing, problem })),
            (any::<u32>(), any::<u64>()).prop_map(|(worker, iterations)| {
                What::Worker(WorkerReport { worker, iterations, ..Default::default() })
            }),
        ];
        (any::<u64>(), what).prop_map(|(at, what)| Event { at: GuestNanos(at), what })
    }

    proptest! {
        #[test]
        fn comes_out_as_it_went_in(event in any_event(), after: Vec<u64>) {
            let frame = Frame::encode(&event).expect("small");
            let words = [frame.words(), &after].concat();
            prop_assert_eq!(Frame::decode(&words, &mut Vec::new()), Ok((event, frame.words().len())));
        }

        #[test]
        fn any_changed_bit_is_seen(event in any_event(), at: proptest::sample::Index, bit in 0u32..64) {
            let mut words = Frame::encode(&event).expect("small").words().to_vec();
            let at = at.index(words.len());
            words[at] ^= 1 << bit;
            prop_assert!(Frame::decode(&words, &mut Vec::new()).is_err());
        }

        #[test]
        fn anything_can_be_read(words: Vec<u64>) {
            let _ = Frame::decode(&words, &mut Vec::new());
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(Frame::decode(&[0; 8], &mut Vec::new()), Err(FrameProblem::Length { bytes: 0 }));
        assert_eq!(Frame::decode(&[], &mut Vec::new()), Err(FrameProblem::Length { bytes: 0 }));
    }

    #[test]
    fn an_event_that_is_too_large_is_refused() {
        let what = What::Failed(GuestFailure { doing: "x".repeat(BODY_BYTES_MAX), problem: String::new() });
        let error = Frame::encode(&Event { at: GuestNanos(0), what }).expect_err("refused").to_string();
        assert_eq!(error, "an event of 4194311 bytes is too large for a frame of 4194304");
    }
}
