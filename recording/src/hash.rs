//! The rolling hash of a run: what two runs of one case under the virtual clock have in common, in one number.
//!
//! `stored bytes of guest events, in order ──GuestHash──▶ a SHA-256 after each of them`. Times are part of the events and so
//! of the hash. The host's records are not.

use sha2::{Digest, Sha256};
use std::fmt;

/// A SHA-256; shown as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Sum([u8; 32]);

impl Sha256Sum {
    /// Of one piece of content.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Goes on from event to event; the hash of a prefix is that of the run at that point.
#[derive(Debug, Clone, Default)]
pub(crate) struct GuestHash(Sha256);

impl GuestHash {
    /// Takes the stored bytes of the next event.
    pub(crate) fn add(&mut self, body: &[u8]) {
        // With its length, so that no two sequences of events are the same bytes.
        self.0.update((body.len() as u64).to_le_bytes());
        self.0.update(body);
    }

    /// Of all events so far.
    pub(crate) fn so_far(&self) -> Sha256Sum {
        Sha256Sum(self.0.clone().finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bodies: &[&[u8]]) -> Sha256Sum {
        let mut hash = GuestHash::default();
        bodies.iter().for_each(|body| hash.add(body));
        hash.so_far()
    }

    #[test]
    fn a_prefix_has_the_hash_of_the_run_at_that_point() {
        let mut hash = GuestHash::default();
        let mut sums = vec![hash.so_far()];
        for body in [&b"one"[..], b"two", b""] {
            hash.add(body);
            sums.push(hash.so_far());
        }
        assert_eq!(sums, [of(&[]), of(&[b"one"]), of(&[b"one", b"two"]), of(&[b"one", b"two", b""])]);
    }

    #[test]
    fn where_an_event_ends_makes_a_difference() {
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab"]), of(&[b"ab", b""]));
    }

    #[test]
    fn is_shown_in_hexadecimal() {
        let none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of(&[]).to_string(), none);
        assert_eq!(Sha256Sum::of(b"").to_string(), none);
    }
}
