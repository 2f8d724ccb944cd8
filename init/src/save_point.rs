//! The instruction at which a machine is saved that was booted for that (`ktstr.save` on the kernel's command line).
//!
//! Everything up to here is common to all cases, and everything after it happens in each machine that starts from the save.

use crate::clock;
use crate::error::{Doing, GuestError};
use crate::sys::save::stop_to_be_saved;
use ktstr_channel::ports::SAVE_PARAMETER;
use std::fs;

/// Looks in a row that have to find nothing else running.
const QUIET_LOOKS: u32 = 10;
/// Between two looks.
const LOOK_NS: u64 = 2_000_000;
/// A kernel with a task that never sleeps is saved all the same after so many looks: the save is as good as another, it is only not
/// like the one that is made next time.
const LOOKS_MAX: u32 = 1000;

/// Whether this machine was booted to be saved.
///
/// # Errors
/// The command line cannot be read.
pub fn is_wanted() -> Result<bool, GuestError> {
    let command_line = fs::read_to_string("/proc/cmdline").doing(|| "read /proc/cmdline".into())?;
    Ok(command_line.split_whitespace().any(|word| word == SAVE_PARAMETER))
}

/// Stops the machine when nothing else runs in it. Comes back in each machine that starts from the save.
///
/// Other CPUs run on for some instructions when the machine stops, and how many is the host's doing. With all of them idle, two
/// saves of one machine differ in a tick at most.
///
/// # Errors
/// The kernel does not give access to the port.
pub fn reach() -> Result<(), GuestError> {
    let (mut quiet, mut looks) = (0, 0);
    while quiet < QUIET_LOOKS && looks < LOOKS_MAX {
        clock::sleep_until(clock::now() + LOOK_NS);
        let stat = fs::read_to_string("/proc/stat").doing(|| "read /proc/stat".into())?;
        quiet = if running(&stat) == Some(1) { quiet + 1 } else { 0 };
        looks += 1;
    }
    stop_to_be_saved().doing(|| "stop the machine, to be saved".into())
}

/// Tasks that run or could run, from `/proc/stat`.
fn running(stat: &str) -> Option<u32> {
    stat.lines().find_map(|line| line.strip_prefix("procs_running ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_many_run() {
        assert_eq!(running("cpu  1 2 3\nprocs_running 7\nprocs_blocked 0\n"), Some(7));
        assert_eq!(running("cpu  1 2 3\n"), None);
        assert!(running(&fs::read_to_string("/proc/stat").expect("reads")).is_some());
    }
}
