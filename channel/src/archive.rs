//! Files with their paths in one blob of the payload, one after another:
//!
//! ```text
//! 4 bytes   length of the path
//! 4 bytes   mode, as chmod(2) takes it
//! 8 bytes   length of the content
//! then      path, content
//! ```
//!
//! Numbers are little-endian. There is no end mark: the blob has a length, and a checksum.

use std::io::{self, ErrorKind, Read};

/// Bytes in front of a path.
const HEAD: usize = 16;
/// Longest path, Linux's own bound.
const PATH_MAX: usize = 4096;

/// What comes next in an archive: so many bytes of content follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Absolute path.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// Length of the content.
    pub bytes: u64,
}

/// Adds a file.
pub fn append(archive: &mut Vec<u8>, path: &str, mode: u32, content: &[u8]) {
    archive.extend((path.len() as u32).to_le_bytes());
    archive.extend(mode.to_le_bytes());
    archive.extend((content.len() as u64).to_le_bytes());
    archive.extend(path.as_bytes());
    archive.extend(content);
}

/// Reads up to the content of the next file; none: there is no other. The content is to be read before the next call.
///
/// # Errors
/// That of the reader, or what it reads is no archive.
pub fn next(from: &mut impl Read) -> io::Result<Option<Entry>> {
    let mut head = Vec::with_capacity(HEAD);
    from.take(HEAD as u64).read_to_end(&mut head)?;
    let number = |range: std::ops::Range<usize>| {
        head.get(range).map(|bytes| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (length, mode, bytes) = match (number(0..4), number(4..8), number(8..16)) {
        _ if head.is_empty() => return Ok(None),
        (Some(length), Some(mode), Some(bytes)) => (length as usize, mode as u32, bytes),
        _ => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the archive ends within a head")),
    };
    if length > PATH_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("a path of {length} bytes")));
    }
    let mut path = vec![0; length];
    from.read_exact(&mut path)?;
    let path = String::from_utf8(path).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(Some(Entry { path, mode, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All files of an archive.
    fn read(mut archive: &[u8]) -> io::Result<Vec<(String, u32, Vec<u8>)>> {
        let mut files = Vec::new();
        while let Some(entry) = next(&mut archive)? {
            let mut content = Vec::new();
            archive.by_ref().take(entry.bytes).read_to_end(&mut content)?;
            files.push((entry.path, entry.mode, content));
        }
        Ok(files)
    }

    proptest! {
        #[test]
        fn comes_out_as_it_went_in(files: Vec<(String, u32, Vec<u8>)>) {
            let mut archive = Vec::new();
            files.iter().for_each(|(path, mode, content)| append(&mut archive, path, *mode, content));
            prop_assert_eq!(read(&archive).expect("an archive"), files);
        }

        #[test]
        fn other_bytes_never_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let mut archive = Vec::new();
        append(&mut archive, "/bin/x", 0o755, b"");
        for end in 1..archive.len() {
            let error = read(&archive[..end]).expect_err("cut off");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end}");
        }
    }
}
