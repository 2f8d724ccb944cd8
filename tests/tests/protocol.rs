//! Bazel's test protocol, with real cases: shards, filters, fail-fast, timeout, signals.

use ktstr_tests::{is_alive, Target};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const SIX: &str = "six_cases";

#[test]
fn three_shards_share_six_cases_and_write_three_junit_files() {
    let mut names = BTreeSet::new();
    let mut count = 0;
    for index in ["0", "1", "2"] {
        let status_file = tempfile::NamedTempFile::new().expect("a file");
        let path = status_file.path().to_owned();
        status_file.close().expect("is gone");
        let shard = Target::new(SIX)
            .env("TEST_TOTAL_SHARDS", "3")
            .env("TEST_SHARD_INDEX", index)
            .env("TEST_SHARD_STATUS_FILE", path.to_str().expect("text"))
            .run();
        shard.expect(0, &[]);
        assert!(path.exists(), "the shard status file was not touched");
        std::fs::remove_file(path).expect("is removed");
        let junit = shard.file("test.xml");
        count += junit.matches("<testcase ").count();
        names.extend(
            junit.split("<testcase name=\"").skip(1).filter_map(|rest| rest.split('"').next().map(String::from)),
        );
        assert_eq!(shard.file("premature"), "");
        assert!(!shard.path("premature").exists());
    }
    assert_eq!((count, names.len()), (6, 6), "{names:?}");
}

#[test]
fn a_filter_takes_just_those() {
    let ran = Target::new(SIX).env("TESTBRIDGE_TEST_ONLY", "*[s2]").run();
    ran.expect(0, &["2 of 6 cases"]);
    let names: Vec<String> = ran.verdicts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["six_cases[1n1l1c1t][s2]", "six_cases[1n1l2c1t][s2]"]);
}

#[test]
fn a_filter_that_takes_nothing_warns() {
    let ran = Target::new(SIX).env("TESTBRIDGE_TEST_ONLY", "nothing").run();
    ran.expect(0, &["WARNING: six_cases: no case matches the filter `nothing`; nearest: "]);
}

#[test]
fn a_strict_filter_that_takes_nothing_is_an_error() {
    let ran = Target::new("strict").env("TESTBRIDGE_TEST_ONLY", "strikt[1n1l1c1t][s0]").run();
    ran.expect(2, &["strict: no case matches the filter `strikt[1n1l1c1t][s0]`; nearest: strict[1n1l1c1t][s0]"]);
}

#[test]
fn fail_fast_skips_the_rest() {
    let ran = Target::new("slow_twice").env("TESTBRIDGE_TEST_RUNNER_FAIL_FAST", "1").run();
    ran.expect(1, &["SKIP", "not run after slow_twice[1n1l1c1t][s0] was fail"]);
    let verdicts: Vec<String> = ran.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, ["fail", "skipped"]);
}

#[test]
fn a_random_seed_comes_from_bazel_and_is_printed() {
    let ran = Target::new("random_seed").env("TEST_RANDOM_SEED", "77").run();
    ran.expect(0, &["random_seed[1n1l1c1t][s77]"]);
}

#[test]
fn sigterm_leaves_results_at_once_and_no_process() {
    let mut running = Target::new("long").start();
    running.wait_for_line("long: ");
    let emulator = running.wait_for_child("qemu");
    let sent = Instant::now();
    running.signal(Signal::TERM);
    let ran = running.wait();
    // Bazel gives it 15 s; on a quiet host it takes a tenth of a second.
    assert!(sent.elapsed() < Duration::from_secs(12), "{:?}", sent.elapsed());
    ran.expect(3, &["INFRA", "interrupted: ", "SIGTERM"]);
    assert!(!is_alive(emulator));
    assert!(ran.file("test.xml").contains("<error "), "{}", ran.file("test.xml"));
    assert!(ran.file("infrastructure").starts_with("interrupted\n"), "{}", ran.file("infrastructure"));
}

#[test]
fn a_timeout_leaves_partial_results() {
    let mut running = Target::new("long").env("TEST_TIMEOUT", "5").start();
    let emulator = running.wait_for_child("qemu");
    let ran = running.wait();
    ran.expect(3, &["INFRA", "the test's timeout of 5s"]);
    assert!(!is_alive(emulator));
    assert_eq!(ran.verdicts().len(), 2);
}

#[test]
fn kill_minus_9_leaves_no_emulator() {
    let mut running = Target::new("long").start();
    let emulator = running.wait_for_child("qemu");
    running.signal(Signal::KILL);
    let ran = running.wait();
    assert_eq!(ran.status.code(), None);
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_alive(emulator) {
        assert!(Instant::now() < deadline, "the emulator outlived its runner");
        std::thread::sleep(Duration::from_millis(5));
    }
}
