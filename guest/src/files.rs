//! Files that come in one part of the payload and are written to the paths that the host has given them: those of a scheduler (program,
//! libraries, data, the kernel's configuration), and those of a shell.

use ktstr_channel::archive;
use ktstr_channel::payload::KERNEL_CONFIG;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{symlink, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes the files of `from` below `root`, and removes `from`, which takes as much memory as they do.
///
/// # Errors
/// A file that cannot be read or written.
pub(crate) fn unpack(from: &Path, root: &Path, reporter: &mut Reporter) -> Result<(), GuestError> {
    let reading = || format!("read {}", from.display());
    let mut archive = BufReader::new(File::open(from).doing(reading)?);
    while let Some(entry) = archive::next(&mut archive).doing(reading)? {
        let path = below(root, &entry.path);
        let writing = || format!("write {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(root)).doing(writing)?;
        let options = OpenOptions::new().write(true).create(true).truncate(true).mode(entry.mode).open(&path);
        let written = io::copy(&mut archive.by_ref().take(entry.bytes), &mut options.doing(writing)?).doing(writing)?;
        if written != entry.bytes {
            return Err(GuestError::new(writing(), format!("{written} of {} bytes are there", entry.bytes)));
        }
        reporter.beat();
    }
    fs::remove_file(from).doing(|| format!("remove {}", from.display()))
}

/// Gives the kernel's configuration the name under which libbpf looks for it, if it is there.
///
/// # Errors
/// That of the link.
pub(crate) fn link_config(root: &Path, release: &str) -> Result<(), GuestError> {
    let config = below(root, KERNEL_CONFIG);
    let name = format!("{KERNEL_CONFIG}-{release}");
    if !config.exists() {
        return Ok(());
    }
    match symlink("config", below(root, &name)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.doing(|| format!("link {name}")),
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_channel::Window;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_get_to_their_paths() {
        let directory = tempfile::tempdir().expect("a directory");
        let window = directory.path().join("window");
        let _host = Window::create(&window).expect("a window");
        let mut reporter = Reporter::over(&window, 0).expect("reaches it");
        let mut bytes = Vec::new();
        archive::append(&mut bytes, "/run/ktstr/bin/x", 0o755, b"#!");
        archive::append(&mut bytes, "/boot/config", 0o644, b"CONFIG_X=y\n");
        let (from, root) = (directory.path().join("scheduler"), directory.path().join("root"));
        fs::write(&from, &bytes).expect("writes");
        unpack(&from, &root, &mut reporter).expect("unpacks");
        link_config(&root, "7.3.4").expect("links");
        let mode = fs::metadata(root.join("run/ktstr/bin/x")).expect("is there").permissions().mode();
        assert_eq!(mode & 0o555, 0o555);
        assert_eq!(fs::read(root.join("boot/config-7.3.4")).expect("is there"), b"CONFIG_X=y\n");
        assert!(!from.exists());
        fs::write(&from, &bytes[..bytes.len() - 1]).expect("writes");
        let error = unpack(&from, &root, &mut reporter).expect_err("cut off").to_string();
        assert!(error.ends_with("boot/config: 10 of 11 bytes are there"), "{error}");
    }
}
