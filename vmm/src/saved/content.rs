//! Sparse files as the pages of them that are not zero.
//!
//! Which zero pages of a RAM file are holes is the file system's and the guest's doing; what is read there is the same. So the
//! content is taken page by page, and zero pages do not count.

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A guest's page.
pub(super) const PAGE_BYTES: usize = 4096;
/// What is read at once: a megabyte.
const CHUNK_PAGES: usize = 256;

/// Calls `visit` with the offset and the bytes of each page of `file` that is not zero; the last page may be short.
pub(crate) fn for_each_page(file: &File, mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_PAGES * PAGE_BYTES];
    let mut from = 0;
    while let Some((start, end)) = next_data(file, from)? {
        let mut at = start;
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(chunk.len());
            let bytes = chunk.get_mut(..length).unwrap_or_default();
            file.read_exact_at(bytes, at)?;
            for (index, page) in bytes.chunks(PAGE_BYTES).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    visit(at + (index * PAGE_BYTES) as u64, page)?;
                }
            }
            at += length as u64;
        }
        from = end;
    }
    Ok(())
}

/// The next stretch that is not a hole, cut to whole pages.
fn next_data(file: &File, from: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        // No data behind `from`.
        Err(Errno::NXIO) => return Ok(None),
        start => start?,
    };
    let bytes = file.metadata()?.len();
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
    let page = PAGE_BYTES as u64;
    // A file system may have larger or smaller blocks than a page.
    Ok(Some(((start - start % page).max(from), end.next_multiple_of(page).min(bytes))))
}

/// SHA-256 of content that comes page by page.
#[derive(Debug, Default)]
pub(super) struct PageDigest(Sha256);

impl PageDigest {
    /// Adds a page that is not zero.
    pub(super) fn add(&mut self, offset: u64, page: &[u8]) {
        self.0.update(offset.to_le_bytes());
        self.0.update(page);
    }

    /// The digest in hexadecimal.
    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// SHA-256 over offset (64 bits, little endian) and bytes of each page that is not zero. Holes cost nothing.
pub(super) fn digest(file: &File) -> io::Result<String> {
    let mut digest = PageDigest::default();
    for_each_page(file, |offset, page| {
        digest.add(offset, page);
        Ok(())
    })?;
    Ok(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(file: &File) -> Vec<(u64, usize)> {
        let mut seen = Vec::new();
        for_each_page(file, |offset, page| {
            seen.push((offset, page.len()));
            Ok(())
        })
        .expect("reads");
        seen
    }

    #[test]
    fn zero_pages_do_not_count_whether_they_are_holes_or_not() {
        let (sparse, full) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        let bytes = 3 * CHUNK_PAGES * PAGE_BYTES + 5;
        sparse.set_len(bytes as u64).expect("grows");
        full.write_all_at(&vec![0; bytes], 0).expect("writes");
        for file in [&sparse, &full] {
            file.write_all_at(b"x", 2_000_000).expect("writes");
            file.write_all_at(b"end", bytes as u64 - 3).expect("writes");
        }
        let last = bytes - bytes % PAGE_BYTES;
        let expected = [(2_000_000 - 2_000_000 % 4096, PAGE_BYTES), (last as u64, 5)];
        assert_eq!(pages(&sparse), expected);
        assert_eq!(pages(&full), expected);
        assert_eq!(digest(&sparse).expect("reads"), digest(&full).expect("reads"));
        full.write_all_at(b"y", 9000).expect("writes");
        assert_ne!(digest(&sparse).expect("reads"), digest(&full).expect("reads"));
    }

    #[test]
    fn a_file_of_holes_has_no_pages() {
        let file = tempfile::tempfile().expect("a file");
        assert_eq!(pages(&file), []);
        file.set_len(1 << 30).expect("grows");
        assert_eq!(pages(&file), []);
    }
}
