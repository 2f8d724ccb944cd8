//! Everything up to the payload: mounts, cgroup controllers, what the machine looks like, the save point; then it waits for the go
//! word, unpacks the payload and becomes the agent.

use crate::controllers;
use crate::error::{Doing, GuestError};
use crate::machine::read_machine;
use crate::mounts;
use crate::reporter::Reporter;
use crate::save_point;
use ktstr_model::What;
use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the payload's parts are unpacked.
const PAYLOAD: &str = "/run/ktstr";
/// Files of the kernel that the agent cannot do without, and the options that bring them.
const NEEDED: [(&str, &str); 1] = [("/proc/self/schedstat", "CONFIG_SCHEDSTATS or CONFIG_TASK_DELAY_ACCT")];

/// Where a part of the payload is unpacked.
pub fn payload_path(name: &str) -> PathBuf {
    Path::new(PAYLOAD).join(name)
}

/// Runs up to the point where the agent takes over.
///
/// # Errors
/// The first thing that is missing.
pub fn run(reporter: &mut Reporter) -> Result<Infallible, GuestError> {
    mounts::mount_others()?;
    check_files(Path::new("/"))?;
    controllers::enable(Path::new(controllers::MOUNT))?;
    let machine = read_machine(Path::new("/sys"), Path::new("/proc"));
    if save_point::is_wanted()? {
        save_point::reach()?;
        reporter.start_over()?;
    }
    reporter.send(What::Booted(machine))?;
    reporter.wait_for_go();
    unpack(reporter, Path::new(PAYLOAD))?;
    let agent = payload_path(ktstr_channel::payload::AGENT);
    Err(GuestError::new(format!("start {}", agent.display()), Command::new(&agent).env_clear().exec()))
}

/// Writes each part of the payload into `directory`, for everyone to read and execute.
fn unpack(reporter: &mut Reporter, directory: &Path) -> Result<(), GuestError> {
    fs::create_dir_all(directory).doing(|| format!("create {}", directory.display()))?;
    for blob in reporter.payload()? {
        let path = directory.join(&blob.name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&path);
        reporter.unpack(&blob, file.doing(|| format!("create {}", path.display()))?)?;
    }
    Ok(())
}

fn check_files(root: &Path) -> Result<(), GuestError> {
    for (file, option) in NEEDED {
        let path = root.join(file.trim_start_matches('/'));
        fs::read(&path)
            .doing(|| format!("read {file}"))
            .map_err(|error| error.hint(&format!("the kernel has to be built with {option}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporter::tests::both_ends;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_payload_becomes_files_that_can_be_executed() {
        let (directory, host, mut guest) = both_ends();
        ktstr_channel::payload::lay(&host, &[("agent", b"#!"), ("plan", b"p")]).expect("fits");
        let target = directory.path().join("payload");
        unpack(&mut guest, &target).expect("unpacks");
        assert_eq!(fs::read(target.join("plan")).expect("is there"), b"p");
        let mode = fs::metadata(target.join("agent")).expect("is there").permissions().mode();
        assert_eq!(mode & 0o555, 0o555);
    }

    #[test]
    fn a_missing_file_names_the_kernels_option() {
        let root = tempfile::tempdir().expect("a directory");
        let error = check_files(root.path()).expect_err("nothing is there").to_string();
        assert!(error.starts_with("failed to read /proc/self/schedstat: No such file"), "{error}");
        assert!(
            error.ends_with("the kernel has to be built with CONFIG_SCHEDSTATS or CONFIG_TASK_DELAY_ACCT"),
            "{error}"
        );
    }
}
