//! The terminal of a machine with a shell: three streams of bytes, and how large the terminal is.
//!
//! ```text
//! 0x00000  size     rows << 16 | columns      host
//! 0x00100  input    written  host, taken  guest
//! 0x00200  output   written  guest, taken  host
//! 0x00300  errors   written  guest, taken  host
//! 0x01000  bytes of the three, one after another
//! ```
//!
//! Other than the ring, a stream never loses anything: who writes waits until the other end has taken enough. So a guest with a shell does depend
//! on when the host looks, as one does at which a person types; no case has a shell.
//!
//! Positions count bytes from the beginning and never wrap.

use crate::layout::{TERMINAL_BYTES, TERMINAL_OFFSET, WORD};
use crate::payload::add_bytes;
use crate::window::{Window, WindowError};
use std::ops::Range;

const AT_SIZE: usize = TERMINAL_OFFSET;
const BYTES_OFFSET: usize = TERMINAL_OFFSET + 0x1000;
const INPUT_BYTES: usize = 32 << 10;
const OUTPUT_BYTES: usize = 128 << 10;
const ERRORS_BYTES: usize = 64 << 10;

const _: () = {
    assert!(BYTES_OFFSET + INPUT_BYTES + OUTPUT_BYTES + ERRORS_BYTES <= TERMINAL_OFFSET + TERMINAL_BYTES);
};

/// One of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// To the guest.
    Input,
    /// From the guest.
    Output,
    /// From the guest.
    Errors,
}

/// Where a stream is in the window.
#[derive(Debug, Clone, Copy)]
struct Place {
    at_written: usize,
    at_taken: usize,
    offset: usize,
    bytes: usize,
}

impl Stream {
    fn place(self) -> Place {
        let (number, offset, bytes) = match self {
            Self::Input => (1, 0, INPUT_BYTES),
            Self::Output => (2, INPUT_BYTES, OUTPUT_BYTES),
            Self::Errors => (3, INPUT_BYTES + OUTPUT_BYTES, ERRORS_BYTES),
        };
        let words = TERMINAL_OFFSET + number * 0x100;
        Place { at_written: words, at_taken: words + 0x40, offset: BYTES_OFFSET + offset, bytes }
    }
}

impl Place {
    /// Where `count` bytes from `position` on are: they may wrap once.
    fn parts(self, position: u64, count: usize) -> [Range<usize>; 2] {
        let start = (position % self.bytes as u64) as usize;
        let first = count.min(self.bytes - start);
        [self.offset + start..self.offset + start + first, self.offset..self.offset + count - first]
    }
}

impl Window {
    /// Takes room for a terminal, on the host.
    ///
    /// # Errors
    /// There is none.
    pub fn with_terminal(&self) -> Result<(), WindowError> {
        self.take_room(Self::terminal_part())
    }

    /// Which bytes of the window are the terminal.
    pub fn terminal_part() -> Range<usize> {
        TERMINAL_OFFSET..TERMINAL_OFFSET + TERMINAL_BYTES
    }

    /// The host's terminal has so many rows and columns.
    pub fn set_terminal_size(&self, rows: u16, columns: u16) {
        self.mapping.store(AT_SIZE, u64::from(rows) << 16 | u64::from(columns));
    }

    /// Rows and columns of the host's terminal; 0: not known.
    pub fn terminal_size(&self) -> (u16, u16) {
        let size = self.mapping.load(AT_SIZE);
        ((size >> 16) as u16, size as u16)
    }

    /// How many bytes a stream has room for.
    pub fn room(&self, stream: Stream) -> usize {
        stream.place().bytes - self.waiting(stream)
    }

    /// Bytes that were written and not yet taken; the whole stream if the other end says what cannot be, so that nothing is written over.
    fn waiting(&self, stream: Stream) -> usize {
        let place = stream.place();
        let waiting = self.mapping.load(place.at_written).wrapping_sub(self.mapping.load(place.at_taken));
        usize::try_from(waiting).map_or(place.bytes, |waiting| waiting.min(place.bytes))
    }

    /// Writes as many of `bytes` as there is room for, and says how many.
    pub fn put(&self, stream: Stream, bytes: &[u8]) -> usize {
        let place = stream.place();
        let bytes = bytes.get(..self.room(stream)).unwrap_or(bytes);
        let written = self.mapping.load(place.at_written);
        let [first, second] = place.parts(written, bytes.len());
        let (before, after) = bytes.split_at(first.len());
        self.put_at(first, before);
        self.put_at(second, after);
        self.mapping.store(place.at_written, written.wrapping_add(bytes.len() as u64));
        bytes.len()
    }

    /// Takes all that is there.
    pub fn take(&self, stream: Stream) -> Vec<u8> {
        let place = stream.place();
        let taken = self.mapping.load(place.at_taken);
        let [first, second] = place.parts(taken, self.waiting(stream));
        let mut bytes = self.bytes_at(first);
        bytes.extend(self.bytes_at(second));
        self.mapping.store(place.at_taken, taken.wrapping_add(bytes.len() as u64));
        bytes
    }

    /// Only one end writes the bytes of a stream: what of a word is not in `part` stays as it is.
    fn put_at(&self, part: Range<usize>, bytes: &[u8]) {
        let words = part.start / WORD * WORD..part.end.next_multiple_of(WORD);
        let mut there = self.bytes_at(words.clone());
        let from = part.start - words.start;
        if let Some(to) = there.get_mut(from..from + bytes.len()) {
            to.copy_from_slice(bytes);
        }
        let content: Vec<u64> = crate::payload::to_words(&there).collect();
        // Within the stream, which lies within the window.
        let _ = self.mapping.write(words.start, &content);
    }

    fn bytes_at(&self, part: Range<usize>) -> Vec<u8> {
        let start = part.start / WORD * WORD;
        let mut words = vec![0; (part.end.next_multiple_of(WORD) - start) / WORD];
        // Within the stream, which lies within the window.
        let _ = self.mapping.read(start, &mut words);
        let mut bytes = Vec::new();
        add_bytes(&mut bytes, &words);
        bytes.drain(..part.start - start);
        bytes.truncate(part.len());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window() -> (tempfile::TempDir, Window) {
        let directory = tempfile::tempdir().expect("a directory");
        let window = Window::create(&directory.path().join("window")).expect("a window");
        window.with_terminal().expect("has room");
        (directory, window)
    }

    #[test]
    fn a_full_stream_takes_no_more_and_loses_nothing() {
        let (_directory, window) = window();
        let bytes: Vec<u8> = (0..INPUT_BYTES + 100).map(|number| number as u8).collect();
        assert_eq!(window.put(Stream::Input, &bytes), INPUT_BYTES);
        assert_eq!((window.room(Stream::Input), window.put(Stream::Input, b"x")), (0, 0));
        assert_eq!(window.take(Stream::Input), &bytes[..INPUT_BYTES]);
        assert_eq!(window.take(Stream::Input), b"");
        // The streams do not know of each other.
        assert_eq!((window.put(Stream::Output, b"out"), window.put(Stream::Errors, b"err")), (3, 3));
        assert_eq!((window.take(Stream::Errors), window.take(Stream::Output)), (b"err".to_vec(), b"out".to_vec()));
    }

    #[test]
    fn an_end_that_says_what_cannot_be_does_no_harm() {
        let (_directory, window) = window();
        let place = Stream::Output.place();
        for (written, taken) in [(0, 5), (u64::MAX, 3), (1 << 40, 0)] {
            window.mapping.store(place.at_written, written);
            window.mapping.store(place.at_taken, taken);
            assert_eq!(window.put(Stream::Output, b"x"), 0, "{written} {taken}");
            assert!(window.take(Stream::Output).len() <= OUTPUT_BYTES);
        }
    }

    #[test]
    fn the_size_comes_over() {
        let (_directory, window) = window();
        assert_eq!(window.terminal_size(), (0, 0));
        window.set_terminal_size(50, 312);
        assert_eq!(window.terminal_size(), (50, 312));
    }

    proptest! {
        // Each makes a window, which takes room on the disk.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn bytes_come_out_in_order(pieces in proptest::collection::vec((0usize..20_000, any::<bool>()), 0..24)) {
            let (_directory, window) = window();
            let (mut sent, mut seen, mut next) = (Vec::<u8>::new(), Vec::<u8>::new(), 0u32);
            for (length, takes) in pieces {
                let bytes: Vec<u8> = (0..length).map(|_| { next = next.wrapping_add(0x9E37_79B9); (next >> 24) as u8 }).collect();
                let put = window.put(Stream::Input, &bytes);
                sent.extend(&bytes[..put]);
                if takes {
                    seen.extend(window.take(Stream::Input));
                }
            }
            seen.extend(window.take(Stream::Input));
            prop_assert_eq!(sent, seen);
        }
    }
}
