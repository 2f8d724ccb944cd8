//! File systems that the guest's programs need, as a table.

use crate::error::{Doing, GuestError};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use std::ffi::CStr;
use std::fs;

struct Mount {
    target: &'static str,
    kind: &'static str,
    data: &'static CStr,
    /// Option of the kernel that brings it; none: the guest can do without it.
    option: Option<&'static str>,
}

/// What has to be there to reach the window.
const FOR_WINDOW: [Mount; 2] = [
    Mount { target: "/proc", kind: "proc", data: c"", option: Some("CONFIG_PROC_FS") },
    Mount { target: "/dev", kind: "devtmpfs", data: c"", option: Some("CONFIG_DEVTMPFS") },
];

/// Everything else.
const OTHERS: [Mount; 5] = [
    Mount { target: "/sys", kind: "sysfs", data: c"", option: Some("CONFIG_SYSFS") },
    Mount { target: "/tmp", kind: "tmpfs", data: c"mode=1777", option: Some("CONFIG_TMPFS") },
    Mount { target: "/run", kind: "tmpfs", data: c"mode=0755", option: Some("CONFIG_TMPFS") },
    // Without favordynmods, each move of a process waits for an RCU grace period (kernel 6.0, 6a010a49b63a "cgroup: Make
    // !percpu threadgroup_rwsem operations optional").
    Mount { target: "/sys/fs/cgroup", kind: "cgroup2", data: c"favordynmods", option: Some("CONFIG_CGROUPS") },
    Mount { target: "/sys/kernel/debug", kind: "debugfs", data: c"", option: None },
];

/// Where tracing is controlled.
pub const TRACE: &str = "/sys/kernel/tracing";
/// Only for a case that asks for a trace.
const FOR_TRACE: Mount = Mount { target: TRACE, kind: "tracefs", data: c"", option: Some("CONFIG_TRACING") };

/// Where programs keep their BPF objects.
const FOR_SCHEDULER: [Mount; 2] = [
    Mount { target: "/sys/fs/bpf", kind: "bpf", data: c"", option: None },
    Mount { target: TRACE, kind: "tracefs", data: c"", option: None },
];

/// Where the terminal of a shell is, and what people look for.
const FOR_SHELL: [Mount; 2] = [
    Mount { target: "/dev/pts", kind: "devpts", data: c"ptmxmode=0666", option: Some("CONFIG_UNIX98_PTYS") },
    Mount { target: "/dev/shm", kind: "tmpfs", data: c"mode=1777", option: None },
];

/// Mounts what has to be there to reach the window.
///
/// # Errors
/// The mount that failed, with the kernel's option for it.
pub fn mount_for_window() -> Result<(), GuestError> {
    FOR_WINDOW.iter().try_for_each(mount)
}

/// Mounts everything else.
///
/// # Errors
/// The mount that failed, with the kernel's option for it.
pub fn mount_others() -> Result<(), GuestError> {
    OTHERS.iter().try_for_each(mount)
}

/// Mounts what has to be there to trace.
///
/// # Errors
/// The mount that failed, with the kernel's option for it.
pub fn mount_for_trace() -> Result<(), GuestError> {
    mount(&FOR_TRACE)
}

/// Mounts what schedulers look for; they can do without it.
///
/// # Errors
/// None of what is mounted here is needed.
pub fn mount_for_scheduler() -> Result<(), GuestError> {
    FOR_SCHEDULER.iter().try_for_each(mount)
}

/// Mounts what a shell needs.
///
/// # Errors
/// The mount that failed, with the kernel's option for it.
pub fn mount_for_shell() -> Result<(), GuestError> {
    FOR_SHELL.iter().chain(&FOR_SCHEDULER).try_for_each(mount)
}

fn mount(mount: &Mount) -> Result<(), GuestError> {
    // A directory below a file system of the kernel (/sys/fs/cgroup) cannot be made; the mount says so.
    let _ = fs::create_dir_all(mount.target);
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    // Payload programs are started from /run.
    let flags = if mount.kind == "tmpfs" { MountFlags::NOSUID } else { flags };
    let with = |data: &CStr| rustix::mount::mount(mount.kind, mount.target, mount.kind, flags, data);
    let mounted = match with(mount.data) {
        // An option that this kernel does not know.
        Err(Errno::INVAL) => with(c""),
        result => result,
    };
    match (mounted, mount.option) {
        // Something was there before us.
        (Ok(()) | Err(Errno::BUSY), _) | (Err(_), None) => Ok(()),
        (Err(error), Some(option)) => Err::<(), _>(error)
            .doing(|| format!("mount {} on {}", mount.kind, mount.target))
            .map_err(|error| error.hint(&format!("the kernel has to be built with {option}"))),
    }
}
