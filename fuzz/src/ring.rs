//! The host's end of the channel: a window in which the guest has written anything, looked at again and again while it writes on.

use crate::input::{memory_file, Input};
use ktstr_channel::layout::{RING_BYTES, RING_OFFSET, WORD};
use ktstr_channel::{payload, Frame, RingReader, Stream, Window, WINDOW_BYTES};
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A window with both ends, taken over by the next input.
struct Place {
    host: Window,
    guest: File,
    header: Vec<u8>,
}

/// Place of the words in the header that are the ring's.
const AT_CLAIM: u64 = 0x48;
const AT_HEAD: u64 = 0x50;
/// What one input does at most: a look at a full ring takes some milliseconds.
const ACTS_MAX: usize = 64;
const LOOKS_MAX: usize = 8;
/// Blobs that are unpacked.
const UNPACKED_BYTES_MAX: usize = 1 << 16;
/// Steps of the head that are not a way to write to it: the host copies so much in some 20 ms. There is still act 1.
const SLOW: std::ops::RangeInclusive<u64> = 1 << 20..=RING_BYTES as u64;

thread_local! {
    static PLACE: Place = Place::new();
}

/// What the guest does between looks of the host: see [`Place::act`].
///
/// # Panics
/// If the host's end takes what no guest's end could have sent.
pub fn ring(input: &[u8]) {
    PLACE.with(|place| {
        place.clear();
        let (mut input, mut reader, mut looks) = (Input(input), RingReader::default(), 0);
        for _ in 0..ACTS_MAX {
            if input.is_empty() || looks == LOOKS_MAX {
                break;
            }
            if place.act(&mut input) {
                looks += 1;
                place.look(&mut reader);
            }
        }
        place.look(&mut reader);
    });
}

impl Place {
    fn new() -> Self {
        let (guest, path) = memory_file();
        let host = Window::create(&path).expect("a window");
        host.with_terminal().expect("room");
        let mut header = vec![0; 4096];
        guest.read_exact_at(&mut header, 0).expect("reads");
        Self { host, guest, header }
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.guest.write_all_at(bytes, offset).expect("writes");
    }

    fn clear(&self) {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.guest, hole, 0, WINDOW_BYTES as u64).expect("makes holes");
        self.write(0, &self.header);
    }

    fn word(&self, at: u64) -> u64 {
        let mut word = [0; WORD];
        self.guest.read_exact_at(&mut word, at).expect("reads");
        u64::from_le_bytes(word)
    }

    /// One act of the guest; or the host looks.
    fn act(&self, input: &mut Input<'_>) -> bool {
        match input.u8() % 5 {
            0 => {
                let at = u64::from(input.u8() % 16) * WORD as u64;
                let value = input.u64();
                if at != AT_HEAD || !SLOW.contains(&value.wrapping_sub(self.word(AT_HEAD))) {
                    self.write(at, &value.to_le_bytes());
                }
            }
            1 => {
                let (at, length) = (input.u32() as usize % WINDOW_BYTES, usize::from(input.u16()));
                let bytes = input.bytes(length);
                self.write(at as u64, bytes.get(..WINDOW_BYTES - at).unwrap_or(bytes));
            }
            2 => {
                let length = usize::from(input.u16());
                self.send(input.bytes(length));
            }
            3 => {
                // In the words of the terminal, so that not only the engine's luck finds them.
                let at = ktstr_channel::layout::TERMINAL_OFFSET as u64 + u64::from(input.u8() % 4) * 0x100;
                self.write(at + u64::from(input.u8() & 1) * 0x40, &input.u64().to_le_bytes());
            }
            _ => return true,
        }
        false
    }

    /// Writes a frame with this body behind the head, with the checksum that it should have.
    fn send(&self, body: &[u8]) {
        let length = body.len() as u32;
        let crc = crc32fast::hash(&[&length.to_le_bytes(), body].concat());
        let mut frame = [&length.to_le_bytes(), &crc.to_le_bytes(), body].concat();
        frame.resize(frame.len().next_multiple_of(WORD), 0);
        let head = self.word(AT_HEAD);
        let next = head.wrapping_add(frame.len() as u64).to_le_bytes();
        self.write(AT_CLAIM, &next);
        let start = (head % RING_BYTES as u64) as usize;
        let (before, after) = frame.split_at(frame.len().min(RING_BYTES - start));
        self.write((RING_OFFSET + start) as u64, before);
        self.write(RING_OFFSET as u64, after);
        self.write(AT_HEAD, &next);
    }

    /// All that the host reads of a running guest.
    fn look(&self, reader: &mut RingReader) {
        let host = &self.host;
        let polled = reader.poll(host);
        for event in &polled.events {
            assert!(Frame::encode(event).is_ok(), "an event that no guest could have sent");
        }
        if let Some(problem) = polled.problem {
            assert!(!problem.to_string().is_empty());
        }
        let _ = (host.check().map_err(|error| error.to_string()), host.beats(), host.is_go(), host.dropped());
        // Larger ones are the same loop for longer.
        let small = |blob: &payload::Blob| blob.bytes <= UNPACKED_BYTES_MAX;
        for blob in payload::blobs(host).unwrap_or_default().into_iter().filter(small) {
            let _ = payload::unpack(host, &blob, io::sink());
        }
        host.set_terminal_size(24, 80);
        for stream in [Stream::Input, Stream::Output, Stream::Errors] {
            let room = host.room(stream);
            assert!(host.take(stream).len() <= WINDOW_BYTES - room);
            assert!(host.put(stream, b"typed") <= 5);
        }
    }
}
