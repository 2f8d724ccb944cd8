//! What the kernel says about a process in `/proc/<pid>`.

use ktstr_init::error::{Doing, GuestError};
use rustix::process::Pid;
use std::fs;

/// Parts of `/proc/<pid>/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `Z` …
    pub state: char,
    /// CPU it is on or was on last.
    pub cpu: u32,
}

/// Nanoseconds that a process has waited on runqueues up to the last time it got a CPU.
///
/// # Errors
/// If there is no such process, or the kernel does not count.
pub fn run_delay(pid: Pid) -> Result<u64, GuestError> {
    let path = format!("/proc/{}/schedstat", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    parse_run_delay(&text).ok_or_else(|| GuestError::new(format!("read {path}"), format!("`{text}` is not its format")))
}

/// State and CPU of a process.
///
/// # Errors
/// If there is no such process.
pub fn stat(pid: Pid) -> Result<Stat, GuestError> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    parse_stat(&text).ok_or_else(|| GuestError::new(format!("read {path}"), format!("`{text}` is not its format")))
}

/// `<time on CPU> <run delay> <timeslices>`.
fn parse_run_delay(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

/// `<pid> (<name>) <state> …`; the name may hold anything, the CPU is field 39.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state was field 3.
    let cpu = fields.nth(39 - 4)?.parse().ok()?;
    Some(Stat { state, cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_delay_is_the_second_field() {
        assert_eq!(parse_run_delay("12 3456 7\n"), Some(3456));
        assert_eq!(parse_run_delay("12"), None);
    }

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let text = format!("7 (a) b) c) R {}\n", fields.join(" "));
        assert_eq!(parse_stat(&text), Some(Stat { state: 'R', cpu: 39 }));
        assert_eq!(parse_stat("7 (a) R 1"), None);
    }

    #[test]
    fn reads_this_process() {
        let own = rustix::process::getpid();
        assert!("RS".contains(stat(own).expect("is there").state));
        let missing = Pid::from_raw(0x3fff_ffff).expect("not zero");
        let error = stat(missing).expect_err("is not there").to_string();
        assert!(error.starts_with("failed to read /proc/1073741823/stat: No such file"), "{error}");
    }
}
