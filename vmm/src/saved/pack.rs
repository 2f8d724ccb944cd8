//! A save as one compressed file.
//!
//! ```text
//! zstd: magic │ u32 length, saved.json │ for each file: (u64 offset, u16 bytes, page)… (u64::MAX)
//! ```
//!
//! Numbers are little endian. Only pages that are not zero are in it, so holes of other sizes and orders of writing give equal bytes; there
//! are no times and no names of the host.

use super::content::{for_each_page, PageDigest, PAGE_BYTES};
use super::description::{Description, FileDescription};
use super::SavedError;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: &[u8; 16] = b"ktstr save 0001\n";
/// The end of a file's pages.
const END: u64 = u64::MAX;
/// Of 95 MB of a Linux guest level 3 makes 19.2 MB in 0.27 s, level 9 makes 17.5 MB in 1.5 s. Fixed, since it decides the bytes; so does
/// the version of zstd.
const LEVEL: i32 = 3;
/// A description has some hundred bytes.
const DESCRIPTION_BYTES_MAX: u32 = 1 << 20;

pub(super) fn pack(directory: &Path, description: &Description, into: &Path) -> Result<(), SavedError> {
    let unwritable = |source| SavedError::file("write", into, source);
    let output = BufWriter::new(File::create(into).map_err(unwritable)?);
    let mut stream = zstd::Encoder::new(output, LEVEL).map_err(unwritable)?;
    write_head(&mut stream, description).map_err(unwritable)?;
    for file in &description.files {
        let path = directory.join(&file.name);
        let content = File::open(&path).map_err(|source| SavedError::file("read", &path, source))?;
        pack_file(&content, &mut stream).map_err(|source| SavedError::file("pack", &path, source))?;
    }
    let output = stream.finish().map_err(unwritable)?;
    output.into_inner().map_err(|error| unwritable(error.into_error())).map(drop)
}

fn write_head(stream: &mut impl Write, description: &Description) -> io::Result<()> {
    let text = description.to_json();
    stream.write_all(MAGIC)?;
    stream.write_all(&(text.len() as u32).to_le_bytes())?;
    stream.write_all(text.as_bytes())
}

fn pack_file(content: &File, stream: &mut impl Write) -> io::Result<()> {
    for_each_page(content, |offset, page| {
        stream.write_all(&offset.to_le_bytes())?;
        stream.write_all(&(page.len() as u16).to_le_bytes())?;
        stream.write_all(page)
    })?;
    stream.write_all(&END.to_le_bytes())
}

pub(super) fn unpack(packed: &Path, directory: &Path) -> Result<Description, SavedError> {
    let unreadable = |source: io::Error| match source.kind() {
        // What zstd says of bytes that are not its own, and an end too early.
        io::ErrorKind::Other | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            SavedError::Foreign { path: packed.to_owned(), problem: source.to_string() }
        }
        _ => SavedError::file("read", packed, source),
    };
    let input = File::open(packed).map_err(|source| SavedError::file("read", packed, source))?;
    let mut stream = zstd::Decoder::new(input).map_err(unreadable)?;
    let text = read_head(&mut stream).map_err(unreadable)?;
    let description = Description::parse(&text, packed)?;
    std::fs::create_dir_all(directory).map_err(|source| SavedError::file("make the directory", directory, source))?;
    for expected in &description.files {
        let path = directory.join(&expected.name);
        let made = File::create_new(&path).and_then(|file| file.set_len(expected.bytes).map(|()| file));
        let file = made.map_err(|source| SavedError::file("write", &path, source))?;
        let sha256 = unpack_file(&mut stream, &file, expected.bytes).map_err(unreadable)?;
        let seen = FileDescription { sha256, ..expected.clone() };
        if seen != *expected {
            return Err(SavedError::Damaged { path, seen: seen.summary(), expected: expected.summary() });
        }
    }
    Ok(description)
}

fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(invalid("it does not begin like one".into()));
    }
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > DESCRIPTION_BYTES_MAX {
        return Err(invalid(format!("its description has {length} bytes")));
    }
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text)?;
    Ok(text)
}

/// Writes a file's pages to their places; gives the digest of its content. That is the digest of the file only if the pages are those that
/// [`pack_file`] takes: whole, in order, and not zero.
fn unpack_file(stream: &mut impl Read, file: &File, bytes: u64) -> io::Result<String> {
    let mut digest = PageDigest::default();
    let mut page = [0; PAGE_BYTES];
    let mut next = 0;
    loop {
        let mut offset = [0; 8];
        stream.read_exact(&mut offset)?;
        let offset = u64::from_le_bytes(offset);
        if offset == END {
            return Ok(digest.finish());
        }
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let length = u16::from_le_bytes(length);
        let whole = bytes.saturating_sub(offset).min(PAGE_BYTES as u64);
        let fits = offset >= next && offset.is_multiple_of(PAGE_BYTES as u64) && u64::from(length) == whole;
        let misfit = || invalid(format!("it has {length} bytes for {offset:#x} in a file of {bytes}"));
        let page = page.get_mut(..usize::from(length)).filter(|_| fits && length > 0).ok_or_else(misfit)?;
        next = offset + u64::from(length);
        stream.read_exact(page)?;
        if page.iter().all(|byte| *byte == 0) {
            return Err(invalid(format!("its page at {offset:#x} is zero")));
        }
        digest.add(offset, page);
        file.write_all_at(page, offset)?;
    }
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
