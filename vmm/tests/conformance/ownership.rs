//! A machine never outlives its owner: neither a dropped handle nor an owner that is killed.

use crate::harness::{until, Prepared};
use ktstr_testing::micro_guest;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the process that this test starts as an owner: where it writes that its machine runs.
const OWNER: &str = "KTSTR_TEST_OWNER";

/// Whether a process has something open in `directory`, as what runs a machine has its console.
fn is_held(directory: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").expect("reads").filter_map(Result::ok);
    let open = processes.filter_map(|process| std::fs::read_dir(process.path().join("fd")).ok()).flatten();
    open.filter_map(Result::ok)
        .any(|file| std::fs::read_link(file.path()).is_ok_and(|path| path.starts_with(directory)))
}

#[test]
fn a_dropped_machine_is_gone() {
    let prepared = Prepared::new(&micro_guest::hang());
    let machine = prepared.start();
    assert!(is_held(prepared.directory.path()));
    drop(machine);
    assert!(!is_held(prepared.directory.path()));
}

#[test]
fn a_machine_outlives_the_thread_that_started_it() {
    let prepared = Prepared::new(&micro_guest::hang());
    let mut machine = std::thread::scope(|scope| scope.spawn(|| prepared.start()).join().expect("no panic"));
    let waited = machine.wait(std::time::Duration::from_millis(200)).expect("can be watched");
    assert_eq!(waited, None);
}

/// Runs in a process of its own, started by the next test.
#[test]
fn owner() {
    let Some(report) = std::env::var_os(OWNER) else { return };
    let prepared = Prepared::new(&micro_guest::hang());
    let _machine = prepared.start();
    let directory = prepared.directory.path().to_str().expect("text");
    let draft = Path::new(&report).with_extension("draft");
    std::fs::write(&draft, directory).expect("writes");
    std::fs::rename(draft, report).expect("renames");
    std::thread::sleep(crate::harness::PATIENCE);
}

#[test]
fn a_killed_owner_leaves_no_machine() {
    let scratch = tempfile::tempdir().expect("a directory");
    let report = scratch.path().join("report");
    let mut owner = Command::new(std::env::current_exe().expect("is known"))
        .args(["--exact", "ownership::owner"])
        .env(OWNER, &report)
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    until("the owner's machine runs", || report.exists());
    let directory = std::fs::read_to_string(&report).expect("reads");
    assert!(is_held(Path::new(&directory)));
    owner.kill().expect("is killed");
    assert_eq!(owner.wait().expect("is reaped").signal(), Some(9));
    until("the machine is gone", || !is_held(Path::new(&directory)));
    std::fs::remove_dir_all(directory).expect("removes what the owner could not");
}
