//! What is typed: everything goes to the guest, and one thing ends the machine, for a guest that does not listen any more.

use std::time::{Duration, Instant};

/// Ctrl-].
const KEY: u8 = 0x1d;
/// So often in a row.
const TIMES: u32 = 3;
/// Within.
const WITHIN: Duration = Duration::from_secs(1);

/// Watches for the way out.
#[derive(Debug, Default)]
pub(super) struct WayOut {
    /// When the first one of a row came, and how many there were.
    row: Option<(Instant, u32)>,
}

impl WayOut {
    /// Whether the way out ends with these bytes.
    pub(super) fn is_taken(&mut self, typed: &[u8], now: Instant) -> bool {
        typed.iter().any(|byte| {
            if *byte != KEY {
                self.row = None;
                return false;
            }
            let row = self.row.filter(|(first, _)| now.saturating_duration_since(*first) <= WITHIN);
            let (first, times) = row.map_or((now, 1), |(first, times)| (first, times + 1));
            self.row = Some((first, times));
            times >= TIMES
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_row_within_a_second() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(WayOut::default().is_taken(b"\x1d\x1d\x1d", start));
        let mut way = WayOut::default();
        assert!(!way.is_taken(b"\x1d", at(0)) && !way.is_taken(b"\x1d", at(500)) && way.is_taken(b"\x1d", at(900)));
        let mut way = WayOut::default();
        assert!(!way.is_taken(b"\x1d\x1d", at(0)) && !way.is_taken(b"\x1d", at(1100)));
        assert!(!WayOut::default().is_taken(b"\x1d\x1dx\x1d", start));
    }
}
