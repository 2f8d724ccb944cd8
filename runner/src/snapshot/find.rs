//! A snapshot by its content, for a replay: one that is made again is another one, whatever its name.

use crate::inputs::{hash_of, InputError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The file in `directory` whose content has this digest. A directory that is not there has none.
pub(crate) fn find(directory: &Path, sha256: &str) -> Result<Option<PathBuf>, InputError> {
    let unreadable = |source| InputError::Read { what: "directory of snapshots", path: directory.into(), source };
    let mut paths = match paths_in(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        paths => paths.map_err(unreadable)?,
    };
    paths.sort();
    for file in paths.into_iter().filter(|path| path.is_file()) {
        if hash_of("snapshot", &file)? == sha256 {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn paths_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
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

    #[test]
    fn a_directory_that_cannot_be_read_is_not_an_empty_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.snapshot");
        std::fs::write(&file, b"one").expect("writes");
        let error = find(&file, &hash(b"one")).expect_err("no directory").to_string();
        assert_eq!(error, format!("cannot read the directory of snapshots {}", file.display()));
    }
}
