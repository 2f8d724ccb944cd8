//! The ring: frames one after another, from the guest to the host.
//!
//! Positions count bytes from the beginning of the case and never wrap; the place in the ring is the position modulo its
//! size. The guest first moves the *claim* to the end of the frame that it is about to write, writes it, then moves the
//! *head* there. The host copies everything up to the head, then looks at the claim: if that is more than a ring ahead of
//! where the copy began, the guest has written over what was copied.

use crate::frame::{Frame, FrameError, FrameProblem};
use crate::layout::{AT_RING_CLAIM, AT_RING_HEAD, RING_BYTES, RING_OFFSET, WORD};
use crate::window::Window;
use ktstr_model::Event;
use std::ops::Range;
use std::sync::atomic::{fence, Ordering};

/// The guest's end.
#[derive(Debug)]
pub struct RingWriter {
    head: u64,
}

impl RingWriter {
    /// Goes on where the last writer stopped: the agent after stage one.
    pub fn open(window: &Window) -> Self {
        Self { head: window.mapping.load(AT_RING_HEAD) / WORD as u64 * WORD as u64 }
    }

    /// Which bytes of the window the next frame will be written to; the second range is empty unless the frame wraps.
    /// They must be mapped when it is pushed.
    pub fn parts(&self, frame: &Frame) -> [Range<usize>; 2] {
        let start = (self.head % RING_BYTES as u64) as usize;
        let bytes = frame.words().len() * WORD;
        let first = bytes.min(RING_BYTES - start);
        [RING_OFFSET + start..RING_OFFSET + start + first, RING_OFFSET..RING_OFFSET + bytes - first]
    }

    /// Writes a frame. What the host has not read in time is overwritten.
    pub fn push(&mut self, window: &Window, frame: &Frame) {
        let next = self.head.wrapping_add((frame.words().len() * WORD) as u64);
        window.mapping.store(AT_RING_CLAIM, next);
        // The claim is seen before any word of the frame.
        fence(Ordering::SeqCst);
        let [first, second] = self.parts(frame);
        let (before, after) = frame.words().split_at(first.len() / WORD);
        // Both ranges lie within the ring, which lies within the window.
        let _ = window.mapping.write(first.start, before) && window.mapping.write(second.start, after);
        window.mapping.store(AT_RING_HEAD, next);
        self.head = next;
    }

    /// Encodes and writes an event. One that no frame can hold is counted, so that the host knows of it.
    ///
    /// # Errors
    /// That of [`Frame::encode`].
    pub fn send(&mut self, window: &Window, event: &Event) -> Result<(), FrameError> {
        let frame = Frame::encode(event).inspect_err(|_| window.drop_event())?;
        self.push(window, &frame);
        Ok(())
    }
}

/// The host's end.
#[derive(Debug, Default)]
pub struct RingReader {
    tail: u64,
    dropped: u64,
    closed: bool,
    words: Vec<u64>,
    bytes: Vec<u8>,
}

/// What a look at the ring brought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Polled {
    /// New events in order.
    pub events: Vec<Event>,
    /// What went wrong after them; reading goes on behind it, if that is possible.
    pub problem: Option<RingProblem>,
}

/// Something that the guest's end did wrong, or that came of a host that was too slow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingProblem {
    /// Not a frame.
    #[error("{frame} (at byte {offset} of the guest's messages; {lost} bytes are lost)")]
    Frame {
        /// Position of the frame.
        offset: u64,
        /// Bytes that were skipped, this frame and those after it.
        lost: u64,
        /// What is wrong.
        frame: FrameProblem,
    },
    /// The guest wrote faster than the host read.
    #[error(
        "overrun: {lost} bytes from byte {offset} of the guest's messages on were overwritten before the host read them"
    )]
    Overrun {
        /// Position of the first byte that is lost.
        offset: u64,
        /// How many.
        lost: u64,
    },
    /// The guest's head is where it cannot be. Nothing can be read any more.
    #[error("the guest's messages end at byte {offset}: it says that it has written up to byte {head}")]
    Head {
        /// Position up to which was read.
        offset: u64,
        /// The guest's head.
        head: u64,
    },
    /// Events that no frame could hold.
    #[error("{events} events before byte {offset} of the guest's messages were too large to be sent")]
    Dropped {
        /// Position up to which was read.
        offset: u64,
        /// How many.
        events: u64,
    },
}

impl RingProblem {
    /// Position in the guest's messages.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Frame { offset, .. }
            | Self::Overrun { offset, .. }
            | Self::Head { offset, .. }
            | Self::Dropped { offset, .. } => *offset,
        }
    }
}

impl RingReader {
    /// Reads everything that has come since the last time.
    pub fn poll(&mut self, window: &Window) -> Polled {
        let mut polled = Polled::default();
        let head = window.mapping.load(AT_RING_HEAD);
        if self.closed {
            return polled;
        }
        polled.problem = self.read(window, head, &mut polled.events).err();
        let dropped = window.dropped();
        if polled.problem.is_none() && dropped != self.dropped {
            let events = dropped.wrapping_sub(self.dropped);
            self.dropped = dropped;
            polled.problem = Some(RingProblem::Dropped { offset: self.tail, events });
        }
        polled
    }

    fn read(&mut self, window: &Window, head: u64, events: &mut Vec<Event>) -> Result<(), RingProblem> {
        let offset = self.tail;
        if head < offset || !head.is_multiple_of(WORD as u64) {
            self.closed = true;
            return Err(RingProblem::Head { offset, head });
        }
        // The end of a whole frame, in any case: whatever is wrong before it, reading can go on from there.
        self.tail = head;
        let new = head - offset;
        if new > RING_BYTES as u64 {
            return Err(RingProblem::Overrun { offset, lost: new });
        }
        self.copy(window, offset, new as usize);
        // No word that was copied is seen later than the claim.
        fence(Ordering::SeqCst);
        if window.mapping.load(AT_RING_CLAIM).wrapping_sub(offset) > RING_BYTES as u64 {
            return Err(RingProblem::Overrun { offset, lost: new });
        }
        let mut done = 0;
        while let Some(words) = self.words.get(done..).filter(|words| !words.is_empty()) {
            let position = offset + (done * WORD) as u64;
            let (event, taken) = Frame::decode(words, &mut self.bytes).map_err(|frame| RingProblem::Frame {
                offset: position,
                lost: head - position,
                frame,
            })?;
            events.push(event);
            done += taken;
        }
        Ok(())
    }

    /// Copies `bytes` from position `offset` on into `self.words`.
    fn copy(&mut self, window: &Window, offset: u64, bytes: usize) {
        self.words.resize(bytes / WORD, 0);
        let start = (offset % RING_BYTES as u64) as usize;
        let first = self.words.len().min((RING_BYTES - start) / WORD);
        let (before, after) = self.words.split_at_mut(first);
        // Both ranges lie within the ring, which lies within the window.
        let _ = window.mapping.read(RING_OFFSET + start, before) && window.mapping.read(RING_OFFSET, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::any_event;
    use crate::window::tests::in_memory;
    use ktstr_model::event::GuestFailure;
    use ktstr_model::{GuestNanos, What};
    use proptest::prelude::*;

    fn event(at: u64, bytes: usize) -> Event {
        let what = What::Failed(GuestFailure { doing: "x".repeat(bytes), problem: String::new() });
        Event { at: GuestNanos(at), what }
    }

    /// A window whose writer and reader stand at `position`.
    fn at(position: u64) -> (Window, RingWriter, RingReader) {
        let window = in_memory();
        window.mapping.store(AT_RING_HEAD, position);
        window.mapping.store(AT_RING_CLAIM, position);
        let writer = RingWriter::open(&window);
        (window, writer, RingReader { tail: position, ..Default::default() })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn comes_out_as_it_went_in(
            batches in proptest::collection::vec(proptest::collection::vec(any_event(), 0..8), 0..8),
            to_wrap in 0u64..100,
        ) {
            let (window, mut writer, mut reader) = at(3 * RING_BYTES as u64 - to_wrap * 8);
            for events in batches {
                for event in &events {
                    writer.send(&window, event).expect("small");
                }
                prop_assert_eq!(reader.poll(&window), Polled { events, problem: None });
            }
        }

        #[test]
        fn damage_never_panics_and_is_seen(
            events in proptest::collection::vec(any_event(), 1..8),
            at: proptest::sample::Index,
            change in 1u64..,
        ) {
            let window = in_memory();
            let (mut writer, mut reader) = (RingWriter::open(&window), RingReader::default());
            for event in &events {
                writer.send(&window, event).expect("small");
            }
            let damaged = RING_OFFSET + at.index(writer.head as usize / WORD) * WORD;
            window.mapping.store(damaged, window.mapping.load(damaged) ^ change);
            let polled = reader.poll(&window);
            let problem = polled.problem.expect("seen");
            prop_assert!(problem.offset() as usize + RING_OFFSET <= damaged);
            prop_assert!(events.starts_with(&polled.events));
            prop_assert_eq!(reader.poll(&window), Polled::default());
        }

        #[test]
        fn any_header_can_be_read(head: u64, claim: u64, dropped: u64) {
            let window = in_memory();
            window.mapping.store(AT_RING_HEAD, head % (4 * RING_BYTES as u64));
            window.mapping.store(AT_RING_CLAIM, claim);
            window.mapping.store(crate::layout::AT_DROPPED, dropped);
            let mut reader = RingReader::default();
            reader.poll(&window);
            window.mapping.store(AT_RING_HEAD, head);
            reader.poll(&window);
        }
    }

    #[test]
    fn an_overrun_is_told_and_reading_goes_on() {
        let (window, mut writer, mut reader) = at(0);
        for i in 0..20 {
            writer.send(&window, &event(i, 2 << 20)).expect("fits");
        }
        let polled = reader.poll(&window);
        assert!(polled.events.is_empty());
        assert_eq!(
            polled.problem.expect("overrun").to_string(),
            "overrun: 41943360 bytes from byte 0 of the guest's messages on were overwritten before the host read them"
        );
        writer.send(&window, &event(20, 1)).expect("fits");
        assert_eq!(reader.poll(&window), Polled { events: vec![event(20, 1)], problem: None });
    }

    #[test]
    fn a_frame_that_is_being_written_over_the_copy_is_an_overrun() {
        let (window, mut writer, mut reader) = at(0);
        writer.send(&window, &event(0, 10)).expect("fits");
        window.mapping.store(AT_RING_CLAIM, RING_BYTES as u64 + 8);
        assert_eq!(reader.poll(&window).problem, Some(RingProblem::Overrun { offset: 0, lost: 24 }));
    }

    #[test]
    fn a_head_that_goes_back_ends_the_reading() {
        let (window, mut writer, mut reader) = at(64);
        window.mapping.store(AT_RING_HEAD, 8);
        assert_eq!(
            reader.poll(&window).problem.expect("refused").to_string(),
            "the guest's messages end at byte 64: it says that it has written up to byte 8"
        );
        writer.send(&window, &event(0, 10)).expect("fits");
        assert_eq!(reader.poll(&window), Polled::default());
    }

    #[test]
    fn a_frame_that_reaches_over_the_head_is_torn() {
        let (window, mut writer, mut reader) = at(0);
        writer.send(&window, &event(0, 100)).expect("fits");
        window.mapping.store(AT_RING_HEAD, 32);
        assert_eq!(
            reader.poll(&window).problem.expect("torn").to_string(),
            "torn: a frame of 104 bytes, of which 24 are there (at byte 0 of the guest's messages; 32 bytes are lost)"
        );
    }

    #[test]
    fn an_event_that_is_too_large_is_told() {
        let (window, mut writer, mut reader) = at(0);
        writer.send(&window, &event(0, crate::frame::BODY_BYTES_MAX)).expect_err("too large");
        assert_eq!(
            reader.poll(&window).problem.expect("told").to_string(),
            "1 events before byte 0 of the guest's messages were too large to be sent"
        );
        assert_eq!(reader.poll(&window), Polled::default());
    }

    #[test]
    fn two_threads_at_full_speed_lose_nothing_silently() {
        let window = in_memory();
        const EVENTS: u64 = 200_000;
        let mut seen = Vec::new();
        let mut overruns = 0;
        std::thread::scope(|scope| {
            let guest = scope.spawn(|| {
                let mut writer = RingWriter::open(&window);
                (0..EVENTS).for_each(|at| writer.send(&window, &event(at, (at % 200) as usize)).expect("small"));
            });
            let mut reader = RingReader::default();
            loop {
                let last = guest.is_finished();
                let polled = reader.poll(&window);
                seen.extend(polled.events.into_iter().map(|event| event.at.0));
                match polled.problem {
                    Some(RingProblem::Overrun { .. }) => overruns += 1,
                    other => assert_eq!(other, None),
                }
                if last {
                    break;
                }
            }
        });
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order");
        assert!(overruns > 0 || seen.len() as u64 == EVENTS, "{} events, no overrun", seen.len());
    }
}
