//! The command line, on recordings and declarations of real cases.

use ktstr_tests::{argument, ktstr, Bare, Target};

const CASE: &str = "strict[1n1l1c1t][s0]";
const RECORDING: &str = "strict-1n1l1c1t-s0.ktstr";

fn check(arguments: &[&str], status: i32, texts: &[&str]) {
    ktstr(arguments).expect(status, texts);
}

#[test]
fn a_recording_is_judged_again_by_another_bound() {
    let ran = Target::new("strict").run();
    ran.expect(0, &["PASS", CASE]);
    let recording = ran.path(RECORDING);
    check(&["judge", argument(&recording)], 0, &["PASS", CASE]);
    check(
        &["judge", argument(&recording), "--check", "min_work_rate=100000000"],
        1,
        &["min_work_rate: rate of ", "at least 100000000/s (command line)"],
    );
    check(
        &["judge", argument(&recording), "--check", "max_gap=1us"],
        1,
        &[
            "WARNING: max_gap: 1us is below what the virtual clock can tell with 1 CPU: the floor is 1ms; ",
            "max_gap: gap of ",
            "at most 1us (command line)",
        ],
    );
    check(
        &["judge", argument(&recording), "--check", "max_gpa=1us"],
        2,
        &["there is no check `max_gpa`; did you mean `max_gap`?"],
    );
    check(&["report", argument(&recording)], 0, &["PASS", CASE]);
    check(&["report", argument(&recording), "--json"], 0, &["\"verdict\": \"pass\""]);
}

#[test]
fn a_page_and_a_trace_are_made_of_recordings() {
    let ran = Target::new("strict").run();
    assert!(ran.file("report.html").contains("\"name\":\"strict[1n1l1c1t][s0]\""));
    let recording = ran.path(RECORDING);
    let (page, trace) = (ran.path("page.html"), ran.path("strict.pftrace"));
    check(&["report", argument(&recording), argument(&recording), "--html", argument(&page)], 0, &["PASS"]);
    assert_eq!(ran.file("page.html").matches("\"timeline\":{").count(), 2);
    check(&["trace", argument(&recording), "--output", argument(&trace)], 0, &[]);
    assert!(std::fs::read(&trace).expect("is there").windows(6).any(|bytes| bytes == b"step 0"));
    let nowhere = ran.path("none/page");
    check(&["report", argument(&recording), "--html", argument(&nowhere)], 2, &["cannot write the page ", "none/page"]);
    check(
        &["trace", argument(&recording), "--output", argument(&nowhere)],
        2,
        &["cannot write the trace ", "none/page"],
    );
}

#[test]
fn a_damaged_recording_says_where_and_is_no_pass() {
    let ran = Target::new("strict").run();
    let recording = ran.path(RECORDING);
    let whole = std::fs::read(&recording).expect("reads");
    let cut = ran.path("cut.ktstr");
    std::fs::write(&cut, &whole[..whole.len() - 40]).expect("writes");
    check(&["judge", argument(&cut)], 3, &["INFRA", "byte"]);
    std::fs::write(&cut, b"#!/bin/sh\n").expect("writes");
    check(&["report", argument(&cut)], 2, &["ERROR: ", "cut.ktstr", "not a recording"]);
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
    // Where KVM is genuine the case passes.
    let offer = ktstr(&["preflight", "--json"]);
    offer.expect(0, &["\"state\":"]);
    if offer.stdout.contains("\"state\":\"genuine\"") {
        return;
    }
    let ran = Target::new("on_kvm").run();
    ran.expect(3, &["INFRA", "the back end kvm was asked for, and ", "the back end tcg needs no KVM"]);
}

#[test]
fn without_a_word_of_the_back_end_the_host_decides_and_a_line_says_so() {
    let bare = Bare::of("boots");
    let spec = std::fs::read_to_string(Target::new("boots").inputs().spec).expect("reads");
    let silent = bare.path("silent.json");
    std::fs::write(&silent, spec.replace("\"backend\": \"tcg\",", "")).expect("writes");
    let texts = ["tcg: only the emulator has the virtual clock", "boots: 1 passed, 0 failed"];
    bare.run_file(&silent, &[]).expect(0, &texts);
    let refused = "clock: the back end kvm has no virtual clock; clock = \"real\" would do";
    bare.run("boots", &["--backend", "kvm"]).expect(2, &[refused]);
}

#[test]
fn a_declaration_runs_without_bazel() {
    let mut bare = Bare::of("boots");
    bare.run("boots", &[]).expect(0, &["boots: 1 of 1 cases", "PASS", "boots: 1 passed, 0 failed"]);
    let junit = std::fs::read_to_string(bare.path("out").join("junit.xml")).expect("is there");
    assert!(junit.contains("<testcase "), "{junit}");
    bare.emulator = "/nowhere/qemu".into();
    let texts = ["ERROR: cannot read the emulator /nowhere/qemu (name another one with --emulator): No such file"];
    bare.run("boots", &[]).expect(3, &texts);
    bare.kernel = Target::new("boots").inputs().spec;
    bare.run("boots", &[]).expect(2, &["not a kernel image: it starts with "]);
}
