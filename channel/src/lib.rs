//! The channel between a guest and the host: a window of guest memory that both sides map.
//!
//! ```text
//! host   Window::create ─▶ payload::lay ─▶ Window::go        machine starts
//! guest  Window::from_raw ─▶ Window::is_go ─▶ payload::blobs, payload::unpack
//! guest  Event ─▶ Frame::encode ─▶ RingWriter::push ─▶ ring ─▶ RingReader::poll ─▶ Event  host
//! guest  Window::beat ─▶ Window::beats  host
//! host   bytes ─▶ Window::put ─▶ Window::take ─▶ bytes  guest, and the other way: see [`terminal`]
//! ```
//!
//! After the go word the host writes nothing, but to a terminal: what the guest does must not depend on when the host looks. So the guest does
//! not know how far the host has read, and a ring that is not read in time is overrun; the host sees that and says so.
//! The guest may be hostile or dying: the host checks all that it reads.

pub mod archive;
pub mod frame;
pub mod layout;
mod mapping;
pub mod payload;
pub mod ports;
pub mod ring;
pub mod terminal;
pub mod window;

pub use frame::{Frame, FrameError, FrameProblem};
pub use layout::{EXIT_FAILED, EXIT_FINISHED, EXIT_NO_WINDOW, LARGE_WINDOW_BYTES, WINDOW_BYTES};
pub use payload::{Blob, PayloadError};
pub use ring::{Polled, RingProblem, RingReader, RingWriter};
pub use terminal::Stream;
pub use window::{Window, WindowError};
