//! A page of the kernel's ring buffer as `trace_pipe_raw` gives it; the kernel describes it in `events/header_page` and
//! `events/header_event`.
//!
//! ```text
//! u64        time of the first record
//! u64        bytes of records that follow (low bits), flags
//! records    each: u32 type and length (low 5 bits), time since the one before (27 bits); then what the type says
//!
//! type 0     u32 length of itself and the data, data
//! type 1–28  data, four bytes times the type
//! type 29    padding: to the end of the page if no time stands there, else u32 length as for type 0
//! type 30    u32: more bits of time for the next record
//! type 31    u32: as 30, but the time is absolute
//! ```

/// Bytes before the records.
const HEAD_BYTES: usize = 16;
/// Bits of the second word that count bytes.
const LENGTH_BITS: u64 = (1 << 27) - 1;
const TIME_BITS: u32 = 27;

/// The records of a page, with their times.
pub(super) struct Records<'a> {
    left: &'a [u8],
    time: u64,
}

impl<'a> Records<'a> {
    /// The records of `page`, which may be followed by anything.
    pub(super) fn of(page: &'a [u8]) -> Self {
        let words = page.split_first_chunk().and_then(|(time, rest)| Some((time, rest.split_first_chunk()?.0)));
        let Some((time, length)) = words else { return Self { left: &[], time: 0 } };
        let length = (u64::from_le_bytes(*length) & LENGTH_BITS) as usize;
        let records = page.get(HEAD_BYTES..).unwrap_or_default();
        Self { left: records.get(..length).unwrap_or(records), time: u64::from_le_bytes(*time) }
    }

    fn word(&mut self) -> Option<u32> {
        let (word, left) = self.left.split_first_chunk()?;
        self.left = left;
        Some(u32::from_le_bytes(*word))
    }

    fn data(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (data, left) = self.left.split_at_checked(bytes)?;
        self.left = left;
        Some(data)
    }

    /// Data whose length stands before it.
    fn long_data(&mut self) -> Option<&'a [u8]> {
        let bytes = self.word()? as usize;
        self.data(bytes.checked_sub(4)?)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let head = self.word()?;
            let (kind, delta) = (head & 31, u64::from(head >> 5));
            match kind {
                0 => {
                    self.time += delta;
                    return Some((self.time, self.long_data()?));
                }
                29 if delta == 0 => return None,
                29 => {
                    self.time += delta;
                    self.long_data()?;
                }
                30 => self.time += (u64::from(self.word()?) << TIME_BITS) + delta,
                31 => {
                    // The topmost bits of an absolute time have no room: they are those of the time before.
                    let low = (u64::from(self.word()?) << TIME_BITS) + delta;
                    let all = 1 << (32 + TIME_BITS);
                    self.time = self.time / all * all + low;
                }
                words => {
                    self.time += delta;
                    return Some((self.time, self.data(words as usize * 4)?));
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A page that begins at `time`, with records given as words.
    pub(in crate::trace) fn page(time: u64, words: &[u32]) -> Vec<u8> {
        let mut page = time.to_le_bytes().to_vec();
        page.extend((words.len() as u64 * 4).to_le_bytes());
        page.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        page.resize(4096, 0xee);
        page
    }

    /// The words of a record of `data`, `delta` after the one before.
    pub(in crate::trace) fn words(delta: u32, data: &[u8]) -> Vec<u32> {
        let head = (delta << 5) | (data.len() as u32 / 4);
        let data = data.chunks(4).map(|four| u32::from_le_bytes(four.try_into().expect("whole words")));
        std::iter::once(head).chain(data).collect()
    }

    fn records(page: &[u8]) -> Vec<(u64, Vec<u8>)> {
        Records::of(page).map(|(time, data)| (time, data.to_vec())).collect()
    }

    #[test]
    fn records_have_the_sum_of_all_times_before() {
        let long = [5 << 5, 8, 0x0403_0201];
        let padding = [2 << 5 | 29, 8, 7];
        let extended = [3 << 5 | 30, 1];
        let all = [&words(0, &[9; 4])[..], &long, &padding, &extended, &words(1, &[8; 8])].concat();
        let expected = [(100, vec![9; 4]), (105, vec![1, 2, 3, 4]), (105 + 2 + 3 + (1 << 27) + 1, vec![8; 8])];
        assert_eq!(records(&page(100, &all)), expected);
    }

    #[test]
    fn an_absolute_time_replaces_what_was_before() {
        let absolute = [7 << 5 | 31, 2];
        let all = [&absolute[..], &words(1, &[1; 4]), &[29]].concat();
        assert_eq!(records(&page(5 << 59 | 99, &all)), [((5 << 59) + (2 << 27) + 7 + 1, vec![1; 4])]);
    }

    #[test]
    fn a_page_that_ends_within_a_record_ends_there() {
        let whole = page(1, &[words(1, &[1; 4]), words(1, &[2; 64])].concat());
        for length in 0..40 {
            assert!(records(&whole[..length]).len() <= 1, "{length}");
        }
        assert_eq!(records(&page(1, &[5 << 5, 3])), []);
        assert_eq!(records(&[]), []);
    }
}
