//! Cases under a real sched_ext scheduler: the right ones pass, and each fault has its phase and its cause.

use ktstr_tests::{argument, Bare, Said, Target};
use serde_json::{json, Value};
use std::path::PathBuf;

/// Long enough for a watchdog of 5 seconds.
const SECONDS: f64 = 7.0;

/// Runs the four spinners of the target under the fixture with `arguments`.
fn run(bare: &Bare, name: &str, arguments: &[&str], expected: Option<Value>) -> Said {
    let file = std::fs::read(Target::new("boots").inputs().spec).expect("reads");
    let mut spec: Value = serde_json::from_slice(&file).expect("JSON");
    spec["name"] = json!(name);
    // For one case each, a snapshot would cost more than it saves.
    spec["start"] = json!("attach");
    spec["scenario"][0]["hold"]["seconds"] = json!(SECONDS);
    spec["scheduler"] = json!({"name": "scx-ktstr", "args": arguments, "attach_timeout": "8s"});
    if let Some(expected) = expected {
        spec["expect_failure"] = expected;
    }
    let path = bare.path(&format!("{name}.json"));
    std::fs::write(&path, spec.to_string()).expect("writes");
    let scheduler = PathBuf::from(std::env::var_os("KTSTR_SCHEDULER").expect("run this under Bazel"));
    bare.run_file(&path, &["--scheduler", argument(&scheduler)])
}

#[test]
fn correct_schedulers_pass() {
    let bare = Bare::of("boots");
    for (name, arguments) in [("fifo", &[][..]), ("llc", &["--llc", "--steal"])] {
        run(&bare, name, arguments, None).expect(0, &["PASS", "scx-ktstr attached in ", "no stall", "all workers ran"]);
    }
}

#[test]
fn each_fault_has_its_phase_and_its_cause() {
    let bare = Bare::of("boots");
    let faults: [(&str, &[&str], Value); 9] = [
        ("error", &["--fault", "error=500"], json!({"cause": "bpf_error", "phase": "run", "message": "on purpose"})),
        (
            "drop",
            &["--fault", "drop", "--target", "cpu_spin", "--timeout-ms", "5000"],
            json!({"cause": "stall", "phase": "run", "message": "cpu_spin"}),
        ),
        (
            "not_allowed",
            &["--fault", "not-allowed"],
            json!({"cause": "runtime_error", "phase": "run", "message": "not allowed"}),
        ),
        ("verifier", &["--fault", "verifier"], json!({"cause": "verifier", "phase": "verify", "message": "unbounded"})),
        ("exits", &["--fault", "exit=300"], json!({"cause": "exit", "phase": "run"})),
        ("panics_at_load", &["--fault", "panic-load"], json!({"cause": "user_panic", "phase": "load"})),
        ("panics", &["--fault", "panic-run=300"], json!({"cause": "user_panic", "phase": "run"})),
        ("hangs", &["--fault", "hang"], json!({"cause": "load_hang", "phase": "load"})),
        ("prints_an_error", &["--fault", "error-line"], json!({"cause": "error_log"})),
    ];
    for (name, arguments, expected) in faults {
        run(&bare, name, arguments, Some(expected)).expect(0, &["PASS", "as expected: "]);
    }
}

#[test]
fn a_failure_is_red_and_says_why() {
    let bare = Bare::of("boots");
    run(&bare, "error", &["--fault", "error=500"], None).expect(
        1,
        &["FAIL", "scx_bpf_error from ktstr_dispatch: ktstr: error on purpose after 500 dispatches", "phase run"],
    );
}

#[test]
fn a_failure_that_is_expected_and_does_not_come_is_red() {
    let bare = Bare::of("boots");
    run(&bare, "nothing", &[], Some(json!({"cause": "stall"})))
        .expect(1, &["FAIL", "unexpected: expected stall; nothing failed"]);
    run(&bare, "another", &["--fault", "error=500"], Some(json!({"cause": "stall"})))
        .expect(1, &["FAIL", "expected stall"]);
}
