//! What is in the guest besides the kernel: a busybox, and the files that were added. `busybox, files ──pack──▶ archive in the payload`.

use crate::guest_files::{GuestFiles, TooLarge, EXECUTABLE};
use crate::scheduler::{Program, ProgramError};
use ktstr_channel::payload::TOOLS;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const BUSYBOX: &str = "busybox";
/// What to do about a missing one.
const INSTALL: &str = "install Debian's busybox-static, or name a static one with --busybox FILE";
/// Directories of the guest that are no place for files.
const OF_THE_KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Files that cannot be put into the guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolsError {
    #[error("no {BUSYBOX} on PATH: {INSTALL}")]
    NoBusybox,
    #[error("cannot read the tools of the guest, {}", path.display())]
    ReadBusybox { path: PathBuf, source: std::io::Error },
    #[error("{} cannot be the tools of the guest: it {problem}. {}", path.display(), capital(INSTALL))]
    Busybox { path: PathBuf, problem: String },
    #[error("--file {guest}: cannot read {}", path.display())]
    ReadFile { guest: String, path: PathBuf, source: std::io::Error },
    #[error("--file {guest}: {problem}")]
    File { guest: String, problem: String },
    #[error("the files for the guest have {0}")]
    TooLarge(TooLarge),
}

/// Everything that goes into the guest for its shell.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) archive: Vec<u8>,
    /// For the reader.
    pub(super) warnings: Vec<String>,
}

/// The busybox that is installed on this machine.
pub(super) fn installed_busybox(search_path: Option<&OsStr>) -> Result<PathBuf, ToolsError> {
    let candidates = std::env::split_paths(search_path.unwrap_or_default()).map(|directory| directory.join(BUSYBOX));
    candidates.into_iter().find(|path| path.is_file()).ok_or(ToolsError::NoBusybox)
}

/// Reads and packs `busybox` and `files`, by their paths in the guest, which has room for `most` bytes; `also` go into it besides them.
pub(super) fn pack(busybox: &Path, files: &[(String, PathBuf)], also: usize, most: usize) -> Result<Tools, ToolsError> {
    let mut archive = GuestFiles::default();
    archive.add(TOOLS, EXECUTABLE, &read_busybox(busybox)?);
    let mut warnings = Vec::new();
    for (i, (guest, path)) in files.iter().enumerate() {
        check_guest_path(guest)?;
        if files.iter().take(i).any(|(other, _)| other == guest) {
            return Err(ToolsError::File { guest: guest.clone(), problem: "it is given twice".into() });
        }
        let unreadable = |source| ToolsError::ReadFile { guest: guest.clone(), path: path.clone(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            let problem = format!("{} is a directory: pack it (tar), and unpack it in the guest", path.display());
            return Err(ToolsError::File { guest: guest.clone(), problem });
        }
        let content = std::fs::read(path).map_err(unreadable)?;
        if let Some(loader) = Program::parse(&content).ok().and_then(|program| program.interpreter) {
            warnings.push(format!(
                "{guest} is not static: it runs only if {loader} and its libraries are in the guest, too"
            ));
        }
        archive.add(guest, metadata.permissions().mode() & 0o777, &content);
    }
    let archive = archive.within(also, most).map_err(ToolsError::TooLarge)?;
    Ok(Tools { archive, warnings })
}

fn read_busybox(path: &Path) -> Result<Vec<u8>, ToolsError> {
    let bytes = std::fs::read(path).map_err(|source| ToolsError::ReadBusybox { path: path.into(), source })?;
    let problem = match Program::parse(&bytes) {
        Ok(Program { interpreter: Some(loader), .. }) => {
            format!("is dynamic ({loader} loads it), and there are no libraries in the guest")
        }
        Ok(Program { interpreter: None, needed, .. }) if needed.is_empty() => return Ok(bytes),
        Ok(_) => "is a library".to_owned(),
        Err(ProgramError::Script { .. }) => "is a script".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(ToolsError::Busybox { path: path.into(), problem })
}

fn check_guest_path(guest: &str) -> Result<(), ToolsError> {
    let below = |directory: &&str| guest.strip_prefix(*directory).is_some_and(|rest| rest.starts_with('/'));
    let problem = match OF_THE_KERNEL.into_iter().find(below) {
        Some(directory) => format!("{directory} belongs to the kernel"),
        None if guest == TOOLS => "that is where the tools are (--busybox for others)".into(),
        None if guest.split('/').any(|part| part == "..") || guest.ends_with('/') || guest.contains('\0') => {
            "it is not the path of a file".into()
        }
        None => return Ok(()),
    };
    Err(ToolsError::File { guest: guest.into(), problem })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::SCHEDULER_BYTES_MAX;
    use std::fs;

    fn refused(busybox: &Path, files: &[(&str, &Path)]) -> String {
        let files: Vec<(String, PathBuf)> =
            files.iter().map(|(guest, path)| ((*guest).into(), (*path).into())).collect();
        pack(busybox, &files, 0, SCHEDULER_BYTES_MAX).expect_err("refused").to_string()
    }

    #[test]
    fn a_busybox_that_the_guest_cannot_run_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("busybox");
        fs::write(&script, "#!/bin/sh\n").expect("writes");
        let error = refused(&script, &[]);
        assert!(error.ends_with("cannot be the tools of the guest: it is a script. Install Debian's busybox-static, or name a static one with --busybox FILE"), "{error}");
        fs::write(&script, tiny_dynamic()).expect("writes");
        let error = refused(&script, &[]);
        assert!(
            error.contains("it is dynamic (/ld.so loads it), and there are no libraries in the guest. Install"),
            "{error}"
        );
        assert!(refused(Path::new("/nowhere/busybox"), &[])
            .starts_with("cannot read the tools of the guest, /nowhere/busybox"));
        let error = installed_busybox(Some(OsStr::new("/nowhere"))).expect_err("none").to_string();
        assert!(error.starts_with("no busybox on PATH: install Debian's busybox-static, or"), "{error}");
        assert_eq!(installed_busybox(Some(directory.path().as_os_str())).expect("is there"), script);
    }

    #[test]
    fn files_keep_their_permissions() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("x");
        fs::write(&file, "#!/bin/sh\n").expect("writes");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).expect("sets");
        let busybox = directory.path().join("busybox");
        fs::write(&busybox, tiny_static()).expect("writes");
        let tools = pack(&busybox, &[("/opt/x".into(), file)], 0, SCHEDULER_BYTES_MAX).expect("packs");
        let mut archive = tools.archive.as_slice();
        let first = ktstr_channel::archive::next(&mut archive).expect("an archive").expect("a file");
        assert_eq!((first.path.as_str(), first.mode), (TOOLS, 0o755));
        let mut archive = archive.get(first.bytes as usize..).expect("the content");
        let second = ktstr_channel::archive::next(&mut archive).expect("an archive").expect("a file");
        assert_eq!((second.path.as_str(), second.mode, second.bytes), ("/opt/x", 0o750, 10));
    }

    #[test]
    fn files_that_cannot_be_there_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let busybox = directory.path().join("busybox");
        fs::write(&busybox, tiny_static()).expect("writes");
        let (file, large) = (busybox.as_path(), directory.path().join("large"));
        fs::File::create(&large).and_then(|file| file.set_len(29 << 20)).expect("makes");
        let error = refused(&busybox, &[("/opt/a", directory.path())]);
        assert!(error.starts_with("--file /opt/a: ") && error.contains(" is a directory: pack it (tar)"), "{error}");
        assert_eq!(refused(&busybox, &[("/sys/x", file)]), "--file /sys/x: /sys belongs to the kernel");
        assert_eq!(refused(&busybox, &[("/a/../x", file)]), "--file /a/../x: it is not the path of a file");
        assert_eq!(refused(&busybox, &[("/x", file), ("/x", file)]), "--file /x: it is given twice");
        assert!(refused(&busybox, &[(TOOLS, file)]).contains("that is where the tools are"));
        assert!(refused(&busybox, &[("/x", Path::new("/nowhere/x"))]).starts_with("--file /x: cannot read /nowhere/x"));
        let error = refused(&busybox, &[("/x", &large)]);
        assert_eq!(
            error,
            format!("the files for the guest have 29.0 MiB, and the guest takes 28.0 MiB at most; the largest: /x 29.0 MiB, {TOOLS} 0.0 MiB")
        );
    }

    /// The header of an x86-64 executable without segments.
    fn tiny_static() -> Vec<u8> {
        let mut elf = vec![0; 64];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        (elf[16], elf[18], elf[20], elf[52], elf[54]) = (2, 62, 1, 64, 56);
        elf
    }

    /// The same with a segment that names a loader.
    fn tiny_dynamic() -> Vec<u8> {
        let (mut elf, name) = (tiny_static(), b"/ld.so\0");
        // e_phoff, e_phnum; then p_type PT_INTERP, p_offset, p_filesz.
        (elf[32], elf[56]) = (64, 1);
        let mut segment = vec![0; 56];
        (segment[0], segment[8], segment[32]) = (3, 120, name.len() as u8);
        elf.extend(segment);
        elf.extend(name);
        elf
    }
}
