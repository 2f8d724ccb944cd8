//! The command line, on recordings and declarations of real cases.

use ktstr_tests::{program, Target};
use std::path::Path;
use std::process::{Command, Output};

const CASE: &str = "strict[1n1l1c1t][s0]";
const RECORDING: &str = "strict-1n1l1c1t-s0.ktstr";

fn ktstr(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program("strict")).args(arguments).output();
    let Output { status, stdout, stderr } = output.expect("starts");
    (status.code(), [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
}

fn check(arguments: &[&str], status: i32, words: &[&str]) {
    let (code, said) = ktstr(arguments);
    assert_eq!(code, Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_recording_is_judged_again_by_another_bound() {
    let ran = Target::new("strict").run();
    ran.expect(0, &["PASS", CASE]);
    let recording = ran.path(RECORDING);
    check(&["judge", text(&recording)], 0, &["PASS", CASE]);
    check(
        &["judge", text(&recording), "--check", "min_work_rate=100000000"],
        1,
        &["min_work_rate: rate of ", "at least 100000000/s (command line)"],
    );
    check(
        &["judge", text(&recording), "--check", "max_gap=1us"],
        1,
        &[
            "WARNING: max_gap: 1us is below what the virtual clock can tell with 1 CPU: the floor is 1ms; ",
            "max_gap: gap of ",
            "at most 1us (command line)",
        ],
    );
    check(
        &["judge", text(&recording), "--check", "max_gpa=1us"],
        2,
        &["there is no check `max_gpa`; did you mean `max_gap`?"],
    );
    check(&["report", text(&recording)], 0, &["PASS", CASE]);
    check(&["report", text(&recording), "--json"], 0, &["\"verdict\": \"pass\""]);
}

#[test]
fn a_damaged_recording_says_where_and_is_no_pass() {
    let ran = Target::new("strict").run();
    let recording = ran.path(RECORDING);
    let whole = std::fs::read(&recording).expect("reads");
    let cut = ran.path("cut.ktstr");
    std::fs::write(&cut, &whole[..whole.len() - 40]).expect("writes");
    check(&["judge", text(&cut)], 3, &["INFRA", "byte"]);
    std::fs::write(&cut, b"#!/bin/sh\n").expect("writes");
    check(&["report", text(&cut)], 2, &["ERROR: ", "cut.ktstr", "not a recording"]);
}

#[test]
fn a_full_disk_is_infrastructure_and_named() {
    let target = Target::new("strict");
    std::os::unix::fs::symlink("/dev/full", target.outputs().join(RECORDING)).expect("links");
    let ran = target.run();
    ran.expect(3, &["INFRA", "host: ", RECORDING, "No space left on device"]);
}

#[test]
fn a_back_end_that_is_not_there_is_infrastructure() {
    Target::new("on_kvm").run().expect(3, &["INFRA", "no back end kvm"]);
}

#[test]
fn a_declaration_runs_without_bazel() {
    let inputs = Target::new("boots").inputs();
    let directory = tempfile::tempdir().expect("a directory");
    let emulator = inputs.emulator_script(directory.path());
    let output = directory.path().join("out");
    let kernel = inputs.kernel();
    let run = ["run", text(&inputs.spec), "--kernel", text(&kernel), "--guest", text(&inputs.guest)];
    check(
        &[&run[..], &["--emulator", text(&emulator), "--output", text(&output)]].concat(),
        0,
        &["boots: 1 of 1 cases", "PASS", "boots: 1 passed, 0 failed"],
    );
    assert!(std::fs::read_to_string(output.join("junit.xml")).expect("is there").contains("<testcase "));
    let nowhere = ["--emulator", "/nowhere/qemu", "--output", text(&output)];
    check(
        &[&run[..], &nowhere].concat(),
        3,
        &["ERROR: cannot read the emulator /nowhere/qemu (name another one with --emulator): No such file"],
    );
    let not_a_kernel = ["run", text(&inputs.spec), "--kernel", text(&inputs.spec), "--output", text(&output)];
    check(&[&not_a_kernel[..], &["--emulator", text(&emulator)]].concat(), 2, &["not a kernel image: it starts with "]);
}
