//! The guest's console as a file that grows, and what a kernel says there at its end.

use crate::StartError;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The end of a file that another process appends to.
#[derive(Debug)]
pub struct ConsoleTail {
    file: File,
    offset: u64,
}

/// What one call reads at most.
const READ_BYTES_MAX: u64 = 1 << 20;
/// Longest line that is looked at; the rest of a longer one counts as another line.
const LINE_BYTES_MAX: u64 = 4096;

impl ConsoleTail {
    /// Follows the file at `path` from its beginning.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, offset: 0 })
    }

    /// Makes the file at `path` and follows it: a console is there before what writes to it.
    pub(crate) fn create(path: &Path) -> Result<Self, StartError> {
        let made = File::create(path).and_then(|_| Self::open(path));
        made.map_err(|source| StartError::File { what: "console", path: path.into(), source })
    }

    /// What was appended since the last call, at most 1 MiB of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_new(&mut self) -> io::Result<Vec<u8>> {
        let available = self.file.metadata()?.len().saturating_sub(self.offset).min(READ_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(available).unwrap_or(0)];
        let length = self.file.read_at(&mut bytes, self.offset)?;
        bytes.truncate(length);
        self.offset += length as u64;
        Ok(bytes)
    }
}

/// The message of the first kernel panic that the console at `path` shows.
///
/// # Errors
/// The file cannot be read.
pub fn find_panic(path: &Path) -> io::Result<Option<String>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if let Some(message) = panic_message(&String::from_utf8_lossy(&line)) {
            return Ok(Some(message));
        }
    }
}

/// What stands in front of the cause of a panic (kernel/panic.c, `vpanic`).
const PANIC_MARK: &str = "Kernel panic - not syncing: ";

fn panic_message(line: &str) -> Option<String> {
    let (before, message) = line.split_once(PANIC_MARK)?;
    // The kernel repeats the message in its last line, `---[ end Kernel panic - not syncing: … ]---`.
    let message = if before.contains("---[ end") { message.trim_end().trim_end_matches("]---") } else { message };
    Some(message.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn tail_gives_only_what_is_new() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut tail = ConsoleTail::open(file.path()).expect("opens");
        assert_eq!(tail.read_new().expect("reads"), b"");
        file.write_all(b"one\ntw").expect("writes");
        assert_eq!(tail.read_new().expect("reads"), b"one\ntw");
        file.write_all(b"o\n").expect("writes");
        assert_eq!(tail.read_new().expect("reads"), b"o\n");
        assert_eq!(tail.read_new().expect("reads"), b"");
    }

    fn panic_in(console: &[u8]) -> Option<String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(console).expect("writes");
        find_panic(file.path()).expect("reads")
    }

    #[test]
    fn finds_the_first_panic() {
        let console = b"[    4.1] VFS: \xff\r\n[    4.2] Kernel panic - not syncing: VFS: no root\r\n\
            [    4.3] ---[ end Kernel panic - not syncing: VFS: no root ]---\r\n";
        assert_eq!(panic_in(console).as_deref(), Some("VFS: no root"));
        let last_line = b"---[ end Kernel panic - not syncing: Fatal exception ]---\n";
        assert_eq!(panic_in(last_line).as_deref(), Some("Fatal exception"));
        assert_eq!(panic_in(b"[ 4.2] Kernel panic - not syncing: cut of").as_deref(), Some("cut of"));
    }

    #[test]
    fn no_panic_is_found_where_there_is_none() {
        assert_eq!(panic_in(b"reboot: Restarting system\n"), None);
        assert_eq!(panic_in(&vec![b'x'; 100_000]), None);
    }
}
