//! Everything that a case can leave behind: memory that is full, files, a cgroup, a sysctl, a task that hangs. The next case must
//! not see any of it.

use crate::sys::process;
use ktstr_init::controllers::MOUNT;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// On a file system in memory.
const FILE: &str = "/tmp/litter";
/// Of the memory that is available, the part that is left free, so that the guest can go on.
const LEFT_FREE: u64 = 4;
const CHUNK_BYTES: usize = 1 << 20;
/// Something that decides what a scheduler does.
const SYSCTL: (&str, &str) = ("/proc/sys/kernel/sched_rt_runtime_us", "-1");

/// Leaves everything.
///
/// # Errors
/// What the kernel refused.
pub fn leave(reporter: &mut Reporter) -> Result<(), GuestError> {
    let cgroup = Path::new(MOUNT).join("litter");
    fs::create_dir(&cgroup).doing(|| format!("create {}", cgroup.display()))?;
    let (path, value) = (cgroup.join("cpu.max"), "1000 100000");
    fs::write(&path, value).doing(|| format!("write {value} to {}", path.display()))?;
    let (path, value) = SYSCTL;
    fs::write(path, value).doing(|| format!("write {value} to {path}"))?;
    process::spawn_hung().doing(|| "start a task that hangs".into())?;
    fill_memory(reporter).doing(|| format!("fill the memory with {FILE}"))
}

fn fill_memory(reporter: &mut Reporter) -> std::io::Result<()> {
    let available = available_kib(&fs::read_to_string("/proc/meminfo")?).unwrap_or(0);
    let mut file = File::create(FILE)?;
    let chunk = vec![0x5a; CHUNK_BYTES];
    // A file system in memory takes half of it at most.
    let chunks = (available - available / LEFT_FREE) / (CHUNK_BYTES as u64 / 1024);
    for _ in 0..chunks {
        // All of it takes seconds.
        reporter.beat();
        match file.write_all(&chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
            result => result?,
        }
    }
    Ok(())
}

/// From a line `MemAvailable:     900000 kB`.
fn available_kib(meminfo: &str) -> Option<u64> {
    meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_is_available() {
        assert_eq!(available_kib("MemTotal: 10 kB\nMemAvailable:     7 kB\n"), Some(7));
        assert_eq!(available_kib("MemTotal: 10 kB\n"), None);
    }
}
