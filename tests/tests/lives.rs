//! A scheduler that is stopped, started, replaced and commanded in the middle of a scenario.

use ktstr_model::What;
use ktstr_recording::Recording;
use ktstr_tests::{under_fixture, Bare};
use serde_json::{json, Value};

/// Four spinners, then a step of half a second for each of `ops`, under the fixture with `arguments`.
fn spec(arguments: &[&str], ops: &[Value]) -> Value {
    let mut spec = under_fixture(arguments, &json!({}));
    let steps = spec["scenario"].as_array_mut().expect("steps");
    steps.extend(ops.iter().map(|op| json!({"ops": [{"scheduler": op}], "hold": {"seconds": 0.5}})));
    spec
}

/// The states of sched_ext at the ends of the holds: of its number of attachments, too.
fn at_the_ends(recording: &Recording) -> Vec<(String, u64)> {
    let (mut state, mut seen) = ((String::new(), 0), Vec::new());
    for event in recording.events() {
        match &event.what {
            What::SchedExt(new) => state = (format!("{} {}", new.state, new.ops).trim().to_owned(), new.enable_seq),
            What::SegmentEnded { .. } => seen.push(state.clone()),
            _ => {}
        }
    }
    seen
}

#[test]
fn the_kernel_has_done_what_an_op_says_before_the_scenario_goes_on() {
    let bare = Bare::of("boots");
    let ops = [json!("restart"), json!({"replace": {"args": ["--llc"]}}), json!("stop"), json!("start")];
    let said = bare.run_fixture(&spec(&[], &ops));
    said.expect(0, &["PASS", "tcg/virtual/attached", "no stall", "no error in ", "all workers ran"]);
    let state = |ops: &str, seq| (ops.to_owned(), seq);
    let expected = [
        state("enabled ktstr_fifo", 1),
        state("enabled ktstr_fifo", 2),
        state("enabled ktstr_llc", 3),
        state("disabled", 3),
        state("enabled ktstr_llc", 4),
    ];
    assert_eq!(at_the_ends(&bare.recordings(1)["t[1n2l1c1t][s0]"]), expected);
}

#[test]
fn a_stop_may_be_the_end_of_it() {
    let bare = Bare::of("boots");
    bare.run_fixture(&spec(&[], &[json!("stop")])).expect(0, &["PASS", "scx-ktstr attached in ", "detached in "]);
}

#[test]
fn a_further_start_fails_in_its_own_phase() {
    let bare = Bare::of("boots");
    let replaced = |fault: &str, expected: Value| {
        let replace = json!({"replace": {"args": ["--fault", fault]}});
        let mut spec = spec(&[], &[replace]);
        spec["expect_failure"] = expected;
        bare.run_fixture(&spec)
    };
    replaced("verifier", json!({"cause": "verifier", "phase": "verify"})).expect(0, &["PASS", "as expected: "]);
    replaced("hang", json!({"cause": "load_hang", "phase": "load"})).expect(0, &["PASS", "as expected: "]);
    replaced("verifier", Value::Null).expect(1, &["FAIL", "verifier: ktstr_", "phase verify, step 1, at "]);
}

#[test]
fn a_command_switches_a_fault_on() {
    let bare = Bare::of("boots");
    let command = |switch: &str| json!({"command": {"args": ["--switch", switch]}});
    let said = bare.run_fixture(&spec(&[], &[command("error=1")]));
    said.expect(1, &["FAIL", "scx_bpf_error from ktstr_", "error on purpose", "phase run, step 1, at "]);
    let said = bare.run_fixture(&spec(&[], &[command("nonsense=1")]));
    said.expect(3, &["INFRA", "failed to run scx-ktstr --switch nonsense=1: it ended (exit status: 2), and printed: "]);
    let ran = bare.run_fixture(&spec(&[], &[command("error=0")]));
    ran.expect(0, &["PASS"]);
    let commands = bare.recordings(1)["t[1n2l1c1t][s0]"]
        .events()
        .filter(|event| matches!(&event.what, What::SchedulerCommand { args, .. } if args == &["--switch", "error=0"]))
        .count();
    assert_eq!(commands, 1);
}
