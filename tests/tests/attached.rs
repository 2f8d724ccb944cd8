//! Cases that start from a snapshot in which their scheduler is attached, and those that could not.

use ktstr_model::What;
use ktstr_recording::Recording;
use ktstr_tests::{argument, assert_equal, fixture, ktstr, under_fixture, Bare, Load, Target};
use serde_json::{json, Value};

/// As [`under_fixture`], with three seeds.
fn spec(arguments: &[&str], more: &Value) -> Value {
    let mut spec = under_fixture(arguments, &json!({"seeds": 3}));
    let more = more.as_object().expect("fields");
    more.iter().for_each(|(field, value)| spec[field] = value.clone());
    spec
}

/// What happened up to the attach, with its times: from the boot to the first `enabled`; and how often it was attached in all.
fn attach(recording: &Recording) -> (Vec<(u64, What)>, u64) {
    let mut events = recording.events().map(|event| (event.at.0, event.what.clone()));
    let mut seen = Vec::new();
    for event in events.by_ref() {
        let enabled = matches!(&event.1, What::SchedExt(state) if state.state == "enabled");
        seen.push(event);
        if enabled {
            break;
        }
    }
    let seq = recording.events().filter_map(|event| match &event.what {
        What::SchedExt(state) => Some(state.enable_seq),
        _ => None,
    });
    (seen, seq.max().unwrap_or(0))
}

#[test]
fn a_case_starts_attached_and_has_the_whole_history() {
    let bare = Bare::of("boots");
    let spec = spec(&[], &json!({}));
    bare.run_fixture(&spec).expect(0, &["attaches scx-ktstr for a snapshot", "tcg/virtual/attached", "3 passed"]);
    let first = bare.recordings(3);
    let attached: Vec<_> = first.values().map(attach).collect();
    let (history, seq) = &attached[0];
    assert!(matches!(&history[0].1, What::Booted(seen) if seen.cpus.len() == 2), "{history:?}");
    assert!(history.iter().any(|(_, what)| matches!(what, What::SchedulerStarted { .. })), "{history:?}");
    assert!(history.iter().any(|(_, what)| matches!(what, What::SchedulerOutput(_))), "{history:?}");
    assert_eq!(*seq, 1);
    // It was attached once, in the machine that was saved, and each case says so.
    assert!(attached.iter().all(|other| other == &attached[0]), "{attached:?}");
    let inputs = |recording: &Recording| recording.header.case.inputs.iter().map(|input| input.name.clone()).collect();
    let names: Vec<String> = inputs(&first["t[1n2l1c1t][s0]"]);
    assert_eq!(names, ["agent", "attached", "emulator", "kernel", "runner", "scheduler"]);

    let [snapshot] = &bare.snapshots(".attached")[..] else { panic!("{:?}", bare.snapshots("")) };
    let made = std::fs::metadata(snapshot).expect("is there").modified().expect("has a time");
    // Equal, on an idle host and on a busy one.
    bare.run_fixture(&spec).expect(0, &["3 passed"]);
    assert_equal(&first, &bare.recordings(3));
    let load = Load::on_all_cores();
    bare.run_fixture(&spec).expect(0, &["3 passed"]);
    drop(load);
    assert_equal(&first, &bare.recordings(3));
    assert_eq!(std::fs::metadata(snapshot).expect("is there").modified().expect("has a time"), made);

    let recording = bare.path("out/t-1n2l1c1t-s1.ktstr");
    let scheduler = fixture();
    let options = ["--scheduler", argument(&scheduler), "--times", "2"];
    bare.replay(&recording, &options).expect(0, &["tcg/virtual/attached", "2 of 2 replays are equal"]);
}

#[test]
fn a_trace_has_the_buffers_for_itself() {
    let bare = Bare::of("boots");
    let spec = spec(&[], &json!({"seeds": 1, "trace": ["sched_switch"]}));
    bare.run_fixture(&spec).expect(0, &["tcg/virtual/attached", "context switches"]);
}

#[test]
fn a_failure_in_an_attached_machine_has_its_phase() {
    let bare = Bare::of("boots");
    let expected = json!({"cause": "bpf_error", "phase": "run", "message": "on purpose"});
    let mut spec = spec(&["--fault", "error=60"], &json!({"seeds": 1, "expect_failure": expected}));
    spec["scenario"][0]["hold"]["seconds"] = json!(3);
    bare.run_fixture(&spec).expect(0, &["PASS", "tcg/virtual/attached", "as expected: "]);
}

#[test]
fn with_start_attach_each_case_attaches() {
    let bare = Bare::of("boots");
    bare.run_fixture(&spec(&[], &json!({"start": "attach"}))).expect(0, &["tcg/virtual/snapshot", "3 passed"]);
    assert!(bare.snapshots(".attached").is_empty());
    assert!(bare.recordings(3).values().all(|recording| attach(recording).1 == 1));
}

#[test]
fn a_scheduler_that_does_not_attach_is_a_verdict_of_its_case() {
    let bare = Bare::of("boots");
    let verifier = |more: Value| bare.run_fixture(&spec(&["--fault", "verifier"], &more));
    let expected = json!({"seeds": 1, "expect_failure": {"cause": "verifier", "phase": "verify"}});
    let said = verifier(expected);
    said.expect(0, &["attaches scx-ktstr for a snapshot", "PASS", "tcg/virtual/snapshot", "as expected: "]);
    assert!(!said.stdout.contains("WARNING"), "{}", said.stdout);
    // The next run knows, and says what it knows.
    let said = verifier(json!({"seeds": 1}));
    let why = "WARNING: 1n2l1c1t: the start that cases were to share, with the scheduler attached, could not be made, so each case attaches it by itself: it ended (exit status: 1)";
    said.expect(1, &[why, "FAIL", "phase verify"]);
    assert!(!said.stdout.contains("attaches scx-ktstr for a snapshot"), "{}", said.stdout);
    let hangs = spec(&["--fault", "hang"], &json!({"seeds": 1}));
    bare.run_fixture(&hangs).expect(1, &["it was not attached after 8.0 s", "FAIL", "phase load"]);
}

/// What the action of Bazel does, with the files of a run without it.
#[test]
fn a_request_makes_a_snapshot_or_says_why_not() {
    let bare = Bare::of("boots");
    let plain = spec(&[], &json!({"seeds": 1, "start": "attach"}));
    bare.run_fixture(&plain).expect(0, &["PASS"]);
    let [booted] = &bare.snapshots(".snapshot")[..] else { panic!("{:?}", bare.snapshots("")) };
    let request = |arguments: &[&str]| {
        let (request, output) = (bare.path("request.json"), bare.path("attached"));
        let inputs = Target::new("boots").inputs();
        let json = json!({"version": 2, "attach": {
            "backend": "tcg", "clock": "virtual", "topology": plain["topologies"][0], "from": booted,
            "agent": inputs.guest.join("ktstr-agent"), "emulator": {"binary": bare.emulator},
            "scheduler": {"program": fixture()},
            "declared": {"name": "scx-ktstr", "args": arguments},
        }});
        std::fs::write(&request, json.to_string()).expect("writes");
        let arguments = ["snapshot", "--request", argument(&request), "--output", argument(&output)];
        ktstr(&arguments).expect(0, &[]);
        std::fs::read(output).expect("is there")
    };
    assert!(request(&[]).starts_with(b"\x28\xb5\x2f\xfd"), "is packed by zstd");
    let failed = String::from_utf8(request(&["--fault", "panic-load"])).expect("text");
    assert!(failed.starts_with("ktstr: not attached\nit ended (exit status: 101); it printed: "), "{failed}");
}
