//! The case of a recording, run again: equal under load, different where something was changed, refused with other inputs.

use ktstr_recording::{Entry, Header, Recording, Writer};
use ktstr_tests::{argument, Bare, Load, Ran, Target};
use std::path::{Path, PathBuf};

/// A red case of four busy CPUs.
const RED: &str = "red_again";
const RED_RECORDING: &str = "red_again-1n2l2c1t-s0.ktstr";
const GREEN_RECORDING: &str = "plain-1n1l1c1t-s0.ktstr";

fn replay(target: &str, recording: &Path) -> Ran {
    Target::new(target).arg(&format!("--replay={}", argument(recording))).run()
}

/// The recording of `from` once more, with another header.
fn with_header(from: &Path, change: impl FnOnce(&mut Header)) -> PathBuf {
    let Recording { mut header, entries, .. } = Recording::read(from).expect("reads");
    change(&mut header);
    let path = from.with_file_name("changed.ktstr");
    let mut writer = Writer::create(&path, &header).expect("writes");
    for entry in &entries {
        match entry {
            Entry::Guest(event) => writer.guest(event),
            Entry::Host(at, event) => writer.host(*at, event),
            Entry::Console(bytes) => writer.console(bytes),
            Entry::Sample(at, sample) => writer.sample(*at, sample),
        }
        .expect("writes");
    }
    writer.finish().expect("writes");
    path
}

#[test]
fn a_red_case_is_equal_again_with_a_quiet_and_with_a_busy_host() {
    let ran = Target::new(RED).run();
    ran.expect(
        1,
        &[
            "FAIL",
            "min_work_rate: ",
            "  guest:     ",
            "  replay:    cp ",
            " . && bazel run //tests:red_again -- --replay=red_again-1n2l2c1t-s0.ktstr",
        ],
    );
    let recording = ran.path(RED_RECORDING);
    let sha256 = ran.report()["cases"][0]["guest_sha256"].as_str().expect("is there").to_owned();
    assert_eq!(sha256, Recording::read(&recording).expect("reads").guest_sha256().to_string());
    // The verdict is that of the case, the exit status that of the comparison.
    replay(RED, &recording).expect(0, &["FAIL", "min_work_rate: ", "EQUAL   replay 1 of 1: ", &sha256]);
    // As `bazel run` starts it: paths are those of the caller.
    let caller = recording.parent().expect("a directory");
    let target = Target::new(RED).env("BUILD_WORKING_DIRECTORY", argument(caller)).arg("--replay").arg(RED_RECORDING);
    let load = Load::on_all_cores();
    let busy = target.run();
    drop(load);
    busy.expect(0, &["EQUAL   replay 1 of 1: ", &sha256]);
    let kept = Recording::read(&caller.join("ktstr-replay/1").join(RED_RECORDING)).expect("is kept");
    assert_eq!(kept.guest_sha256().to_string(), sha256);
}

#[test]
fn what_was_changed_is_found() {
    let ran = Target::new("plain").run();
    let recording = ran.path(GREEN_RECORDING);
    let other_seed = with_header(&recording, |header| header.case.plan.seed = 77);
    let differs = replay("plain", &other_seed);
    differs
        .expect(1, &["PASS", "DIFFERS replay 1 of 1: at event ", "recorded: ", "replayed: ", "keep both recordings"]);
}

#[test]
fn other_inputs_are_refused_by_name() {
    let refused = |target: &str, input: &str| {
        let ran = Target::new(target).run();
        let recording = ran.path(&format!("{target}-1n1l1c1t-s0.ktstr"));
        let other = with_header(&recording, |header| {
            let inputs = &mut header.case.inputs;
            inputs.iter_mut().filter(|one| one.name == input).for_each(|one| one.sha256 = "ab".repeat(32));
        });
        let refused = replay(target, &other);
        let words = ["ERROR: ", "was made of other inputs:", "recorded: sha256 abab", "run it where the sources"];
        refused.expect(2, &words);
        assert!(refused.output.contains(&format!("\n  {input}")), "{}", refused.output);
        assert!(!refused.output.contains("emulator"), "{}", refused.output);
    };
    refused("boots", "kernel");
    refused("plain", "snapshot");
}

#[test]
fn a_recording_that_is_cut_is_not_equal() {
    let ran = Target::new("plain").run();
    let recording = ran.path(GREEN_RECORDING);
    let whole = std::fs::read(&recording).expect("reads");
    let cut = ran.path("cut.ktstr");
    std::fs::write(&cut, &whole[..whole.len() - 40]).expect("writes");
    let words = ["WARNING: the recording is not whole", "UNKNOWN replay 1 of 1: equal as far as the recording goes, "];
    replay("plain", &cut).expect(1, &words);
    std::fs::write(&cut, &whole[..40]).expect("writes");
    replay("plain", &cut).expect(2, &["ERROR: ", "its header is damaged"]);
    replay("plain", Path::new("/nowhere.ktstr")).expect(2, &["ERROR: cannot read the recording /nowhere.ktstr"]);
}

#[test]
fn a_recording_is_replayed_without_bazel() {
    let bare = Bare::of("boots");
    bare.run("plain", &[]).expect(0, &["PASS"]);
    let recording = bare.path("out").join(GREEN_RECORDING);
    let blind = "WARNING: the kernel is not looked at, so that samples are not compared";
    bare.replay(&recording, &["--times", "2"]).expect(0, &[blind, "2 of 2 replays are equal"]);
    assert!(bare.path("again/2").join(GREEN_RECORDING).is_file());
    let with_kernel = bare.replay(&recording, &["--kernel", argument(&bare.kernel)]);
    with_kernel.expect(0, &["EQUAL", " samples"]);
    assert!(!with_kernel.stdout.contains("WARNING"), "{}", with_kernel.stdout);
    let elsewhere = bare.replay(&recording, &["--snapshots", argument(&bare.path("again"))]);
    elsewhere.expect(2, &["is the snapshot from which the case started"]);
    // Another emulator is another input, by whatever way it is told.
    let script = std::fs::read_to_string(&bare.emulator).expect("reads");
    std::fs::write(&bare.emulator, script + "# changed\n").expect("writes");
    bare.replay(&recording, &[]).expect(2, &["emulator: name the emulator that ran it with --emulator"]);
}

#[test]
fn a_case_that_boots_is_replayed_with_its_kernel() {
    let bare = Bare::of("boots");
    bare.run("boots", &[]).expect(0, &["PASS"]);
    let recording = bare.path("out/boots-1n1l1c1t-s0.ktstr");
    bare.replay(&recording, &[]).expect(2, &["boots: name the kernel that was booted with --kernel"]);
    bare.replay(&recording, &["--kernel", argument(&bare.kernel)]).expect(0, &["EQUAL   replay 1 of 1: "]);
}
