//! A directory for each replay.

use crate::session::{host, SessionError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The first of `1`, `2`, … that is not there yet: no replay overwrites what another one has left, or what it is replaying.
pub(super) fn new_directory(output: &Path) -> Result<PathBuf, SessionError> {
    let failed = |path: &Path, error: std::io::Error| {
        host(format!("cannot make the directory {} (choose another place with --output): {error}", path.display()))
    };
    std::fs::create_dir_all(output).map_err(|error| failed(output, error))?;
    let mut number = 1u64;
    loop {
        let directory = output.join(number.to_string());
        match std::fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed(&directory, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_replay_overwrites_another() {
        let output = tempfile::tempdir().expect("a directory");
        let made: Vec<PathBuf> = (0..2).map(|_| new_directory(output.path()).expect("makes")).collect();
        assert_eq!(made, [output.path().join("1"), output.path().join("2")]);
        let error = new_directory(Path::new("/proc/x")).expect_err("refused").to_string();
        assert!(
            error.starts_with("cannot make the directory /proc/x (choose another place with --output): "),
            "{error}"
        );
    }
}
