//! A snapshot by its content, for a replay: one that is made again is another one, whatever its name.

use crate::inputs::{hash_of, InputError};
use std::path::{Path, PathBuf};

/// The file in `directory` whose content has this digest. A directory that is not there has none.
pub(crate) fn find(directory: &Path, sha256: &str) -> Result<Option<PathBuf>, InputError> {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(directory) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    for file in files {
        if hash_of("snapshot", &file)? == sha256 {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::hash;

    #[test]
    fn a_snapshot_is_found_by_its_content() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a.snapshot"), b"one").expect("writes");
        std::fs::write(directory.path().join("b.snapshot"), b"two").expect("writes");
        let found = |sha256: &str| find(directory.path(), sha256).expect("reads");
        assert_eq!(found(&hash(b"two")), Some(directory.path().join("b.snapshot")));
        assert_eq!(found(&hash(b"three")), None);
        assert_eq!(find(Path::new("/nowhere"), &hash(b"two")).expect("reads"), None);
    }
}
