//! A machine never outlives its owner: neither a dropped handle nor an owner that is killed.

use crate::harness::{until, Prepared};
use ktstr_testing::micro_guest;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the process that this test starts as an owner: where it writes that its machine runs.
const OWNER: &str = "KTSTR_TEST_OWNER";

/// Processes whose working directory is `directory`: an emulator runs in its machine's.
fn processes_in(directory: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").expect("reads").filter_map(Result::ok);
    processes.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == directory)).count()
}

#[test]
fn a_dropped_machine_is_gone() {
    let prepared = Prepared::new(&micro_guest::hang());
    let machine = prepared.start();
    assert_eq!(processes_in(prepared.directory.path()), 1);
    drop(machine);
    assert_eq!(processes_in(prepared.directory.path()), 0);
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
fn a_killed_owner_leaves_no_emulator() {
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
    assert_eq!(processes_in(Path::new(&directory)), 1);
    owner.kill().expect("is killed");
    assert_eq!(owner.wait().expect("is reaped").signal(), Some(9));
    until("the emulator is gone", || processes_in(Path::new(&directory)) == 0);
    std::fs::remove_dir_all(directory).expect("removes what the owner could not");
}
