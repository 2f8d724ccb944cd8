//! The files of the scheduler under test, packed for the guest:
//! `SchedulerPaths ──closure──▶ program, loader, libraries ──load──▶ archive in the payload`.
//!
//! A scheduler is a program as it was built, seldom static: everything that it needs to be loaded goes with it, and what it reads
//! is declared. Nothing else is in the guest.

mod closure;
mod program;

use crate::guest_files::{GuestFiles, EXECUTABLE, READABLE};
use crate::inputs::{self, InputError, SCHEDULER_BYTES_MAX};
pub(crate) use closure::ClosureError;
use ktstr_channel::payload::{KERNEL_CONFIG, SCHEDULER_LIBRARIES, SCHEDULER_PROGRAMS};
use ktstr_model::{SchedulerPlan, SchedulerSpec};
pub(crate) use program::{Program, ProgramError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SchedulerPaths {
    /// The program.
    pub(crate) program: PathBuf,
    /// Directories of libraries, the first one first.
    pub(crate) libraries: Vec<PathBuf>,
    /// Data files, by their paths in the guest.
    pub(crate) files: BTreeMap<String, PathBuf>,
    /// The kernel's configuration, for which libbpf looks.
    pub(crate) config: Option<PathBuf>,
}

impl SchedulerPaths {
    /// The declaration of a scheduler of which only the files are known: its program gives it its name.
    pub(crate) fn declared(&self) -> SchedulerSpec {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        SchedulerSpec { name, files: self.files.keys().cloned().collect(), ..SchedulerSpec::default() }
    }
}

/// Reads the files and packs them for the guest, which is told of the scheduler by `plan`.
pub(crate) fn load(paths: &SchedulerPaths, plan: &SchedulerPlan) -> Result<Vec<u8>, InputError> {
    if let Some(file) = plan.files.iter().find(|file| !paths.files.contains_key(*file)) {
        return Err(InputError::UnnamedFile { scheduler: plan.name.clone(), file: file.clone() });
    }
    let closure = closure::find(&paths.program, &paths.libraries)?;
    let mut archive = GuestFiles::default();
    archive.add(&format!("{SCHEDULER_PROGRAMS}/{}", plan.name), EXECUTABLE, &closure.program);
    if let Some((path, loader)) = &closure.interpreter {
        archive.add(path, EXECUTABLE, loader);
    }
    for (name, library) in &closure.libraries {
        archive.add(&format!("{SCHEDULER_LIBRARIES}/{name}"), EXECUTABLE, library);
    }
    for (guest, host) in &paths.files {
        archive.add(guest, READABLE, &inputs::read("scheduler's file", host)?);
    }
    if let Some(config) = &paths.config {
        archive.add(KERNEL_CONFIG, READABLE, &inputs::read("kernel configuration", config)?);
    }
    archive
        .within(0, SCHEDULER_BYTES_MAX)
        .map_err(|too_large| InputError::SchedulerTooLarge { name: plan.name.clone(), too_large })
}

/// Where the libraries of this machine are, for `ktstr run`.
pub(crate) fn of_this_machine() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    configured(Path::new("/etc/ld.so.conf"), &mut directories, 0);
    let usual = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];
    directories.extend(usual.iter().map(PathBuf::from));
    directories.retain(|directory| directory.is_dir());
    directories
}

/// Directories of `/etc/ld.so.conf` and what it includes, ldconfig(8). A file that cannot be read has none.
fn configured(file: &Path, directories: &mut Vec<PathBuf>, depth: u32) {
    const DEPTH_MAX: u32 = 4;
    let text = std::fs::read_to_string(file).unwrap_or_default();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        match line.strip_prefix("include ") {
            Some(pattern) if depth < DEPTH_MAX => {
                // Distributions include one directory: /etc/ld.so.conf.d/*.conf.
                let pattern = Path::new(pattern.trim());
                let entries = pattern.parent().and_then(|parent| std::fs::read_dir(parent).ok());
                let mut files: Vec<PathBuf> =
                    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
                files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
                files.sort();
                files.iter().for_each(|file| configured(file, directories, depth + 1));
            }
            Some(_) => {}
            None if line.starts_with('/') => directories.push(line.into()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(files: &[&str]) -> SchedulerPlan {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let spec = SchedulerSpec { name: "scx_x".into(), files, ..Default::default() };
        spec.profiles("scheduler").expect("is one").remove(0).scheduler.expect("has one")
    }

    fn paths() -> SchedulerPaths {
        let program = "/bin/sh".into();
        SchedulerPaths { program, libraries: of_this_machine(), ..SchedulerPaths::default() }
    }

    /// Paths of an archive.
    fn listed(archive: &[u8]) -> Vec<String> {
        let (mut rest, mut paths) = (archive, Vec::new());
        while let Some(entry) = ktstr_channel::archive::next(&mut rest).expect("an archive") {
            rest = &rest[entry.bytes as usize..];
            paths.push(entry.path);
        }
        paths
    }

    #[test]
    fn everything_that_it_needs_is_packed() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        std::fs::write(&data, "x").expect("writes");
        let files = BTreeMap::from([("/etc/layers.json".to_owned(), data.clone())]);
        let archive = load(&SchedulerPaths { files, config: Some(data), ..paths() }, &plan(&["/etc/layers.json"]));
        let listed = listed(&archive.expect("loads"));
        assert_eq!(listed[0], "/run/ktstr/bin/scx_x");
        assert!(listed.contains(&"/run/ktstr/lib/libc.so.6".to_owned()), "{listed:?}");
        assert_eq!(listed[listed.len() - 2..], ["/etc/layers.json", "/boot/config"]);
    }

    #[test]
    fn a_file_that_nobody_names_is_asked_for() {
        let error = load(&paths(), &plan(&["/etc/layers.json"])).expect_err("refused").to_string();
        assert_eq!(
            error,
            "the scheduler scx_x reads /etc/layers.json, and no file is named for it \
             (--scheduler-file /etc/layers.json=FILE)"
        );
    }

    #[test]
    fn what_is_too_large_names_the_largest() {
        let mut archive = GuestFiles::default();
        archive.add("/run/ktstr/bin/scx_x", EXECUTABLE, &vec![0; 30 << 20]);
        archive.add("/run/ktstr/lib/libc.so.6", EXECUTABLE, &vec![0; 2 << 20]);
        let too_large = archive.within(0, SCHEDULER_BYTES_MAX).expect_err("refused");
        let error = InputError::SchedulerTooLarge { name: "scx_x".into(), too_large }.to_string();
        assert_eq!(
            error,
            "the scheduler scx_x and what it needs have 32.0 MiB, and the guest takes 28.0 MiB at most; the largest: \
             /run/ktstr/bin/scx_x 30.0 MiB, /run/ktstr/lib/libc.so.6 2.0 MiB. Without debug information (strip) a \
             program is often a tenth"
        );
    }
}
