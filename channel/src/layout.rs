//! Where things are in the window. All numbers are little-endian words of 8 bytes at offsets that 8 divides: on arm64 the
//! guest's mapping is device memory, which takes aligned accesses only.
//!
//! ```text
//! 0x0000000  header, a page
//!   0x000    magic             host, before go
//!   0x008    version           host, before go
//!   0x010    payload bytes     host, before go
//!   0x018    ring bytes        host, before go
//!   0x020    go                host, last: from here on the host writes nothing but the word below, and to a terminal
//!   0x040    heartbeat         guest
//!   0x048    ring claim        guest: end of what it is writing or has written
//!   0x050    ring head         guest: end of what it has written
//!   0x058    dropped           guest: events that no frame could hold
//!   0x060    ops wanted        guest: how many of the host's ops it has come to; it waits until that many are done
//!   0x068    ops done          host
//! 0x0001000  payload           host, before go
//! 0x1fc0000  terminal          both, at any time; only in a machine with a shell
//! 0x2000000  ring              guest
//! 0x4000000  end; of a larger window, the payload in place of the one above
//! ```

/// The whole window.
pub const WINDOW_BYTES: usize = 64 << 20;
/// The window of a machine that boots others, whose kernels and programs are in its payload.
pub const LARGE_WINDOW_BYTES: usize = 256 << 20;
/// The header is a page.
pub const HEADER_BYTES: usize = 4096;
/// The payload follows the header.
pub const PAYLOAD_OFFSET: usize = HEADER_BYTES;
/// The first half of a window of [`WINDOW_BYTES`] is header, payload and terminal.
pub const PAYLOAD_BYTES_MAX: usize = TERMINAL_OFFSET - PAYLOAD_OFFSET;
/// The terminal is the end of the first half.
pub const TERMINAL_OFFSET: usize = RING_OFFSET - TERMINAL_BYTES;
/// Bytes of the terminal.
pub const TERMINAL_BYTES: usize = 256 << 10;
/// The second half of it is the ring.
pub const RING_OFFSET: usize = WINDOW_BYTES / 2;
/// Bytes of the ring.
pub const RING_BYTES: usize = WINDOW_BYTES - RING_OFFSET;

/// `ktstrwin`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ktstrwin");
/// Version of everything that this crate describes; the two ends must agree.
pub const VERSION: u64 = 3;
/// Value of the go word once the guest may read the payload.
pub const GO: u64 = u64::from_le_bytes(*b"go go go");

/// Bytes of a word.
pub const WORD: usize = 8;

pub(crate) const AT_MAGIC: usize = 0x000;
pub(crate) const AT_VERSION: usize = 0x008;
pub(crate) const AT_PAYLOAD_BYTES: usize = 0x010;
pub(crate) const AT_RING_BYTES: usize = 0x018;
pub(crate) const AT_GO: usize = 0x020;
pub(crate) const AT_HEARTBEAT: usize = 0x040;
pub(crate) const AT_RING_CLAIM: usize = 0x048;
pub(crate) const AT_RING_HEAD: usize = 0x050;
pub(crate) const AT_DROPPED: usize = 0x058;
pub(crate) const AT_OPS_WANTED: usize = 0x060;
pub(crate) const AT_OPS_DONE: usize = 0x068;

/// The guest adds one to its heartbeat each time that so much guest time has passed.
pub const HEARTBEAT_NANOS: u64 = 100_000_000;

/// Exit code of a guest that has done everything, [`ktstr_model::What::Finished`] is the last event.
pub const EXIT_FINISHED: u8 = 16;
/// Exit code of a guest that could not go on; the last event, [`ktstr_model::What::Failed`], says why.
pub const EXIT_FAILED: u8 = 17;
/// Exit code of a guest that cannot reach the window; a line on the console says why.
pub const EXIT_NO_WINDOW: u8 = 18;

const _: () = {
    assert!(PAYLOAD_OFFSET + PAYLOAD_BYTES_MAX == TERMINAL_OFFSET);
    assert!(TERMINAL_OFFSET + TERMINAL_BYTES == RING_OFFSET);
    assert!(RING_OFFSET + RING_BYTES == WINDOW_BYTES);
    assert!(RING_BYTES.is_power_of_two());
};
