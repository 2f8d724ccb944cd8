//! Files on their way into the guest, in one part of the payload, which has room for so much.

use ktstr_channel::archive::append;

/// Permissions of a program.
pub(crate) const EXECUTABLE: u32 = 0o755;
/// Permissions of data.
pub(crate) const READABLE: u32 = 0o644;
/// Files that are named when all are too large.
const NAMED: usize = 4;

/// Files by their paths in the guest.
#[derive(Debug, Default)]
pub(crate) struct GuestFiles {
    bytes: Vec<u8>,
    sizes: Vec<(usize, String)>,
}

/// More than the payload has room for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes}, and the guest takes {most} at most; the largest: {largest}")]
pub(crate) struct TooLarge {
    bytes: String,
    most: String,
    largest: String,
}

impl GuestFiles {
    /// Adds a file with its permissions.
    pub(crate) fn add(&mut self, path: &str, mode: u32, content: &[u8]) {
        append(&mut self.bytes, path, mode, content);
        self.sizes.push((content.len(), path.to_owned()));
    }

    /// The part of the payload, if there is room for it and `others` bytes in `most`.
    pub(crate) fn within(mut self, others: usize, most: usize) -> Result<Vec<u8>, TooLarge> {
        let bytes = self.bytes.len().saturating_add(others);
        if bytes <= most {
            return Ok(self.bytes);
        }
        self.sizes.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
        let named = self.sizes.iter().take(NAMED).map(|(size, path)| format!("{path} {}", mebibytes(*size)));
        let largest = named.collect::<Vec<_>>().join(", ");
        Err(TooLarge { bytes: mebibytes(bytes), most: mebibytes(most), largest })
    }
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
