//! What the host sees of a guest's kernel is what the guest's own trace says, and what its load has to be; looking changes nothing.

use ktstr_model::sample::DSQ_BUILTIN;
use ktstr_model::trace::{Switch, Task};
use ktstr_model::{GuestNanos, Sample, What};
use ktstr_recording::{compare, Comparison, HostEvent, Recording};
use ktstr_tests::{argument, fixture, Bare, Load, Target};
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::ops::Range;

/// Workers on CPU 2; there is one more on CPU 3. As `_KNOWN_LOAD` of `tests/samples/BUILD.bazel`.
const CROWD: u32 = 3;
/// A switch takes no longer.
const SWITCH_NS: u64 = 20_000;

/// Runs a target of one case.
fn recorded(target: &str) -> Recording {
    let ran = Target::new(target).run();
    ran.expect(0, &["1 passed"]);
    ran.recordings().into_values().next().expect("a case")
}

fn hold(recording: &Recording) -> Range<GuestNanos> {
    let at = |wanted: fn(&What) -> bool| recording.events().find(|event| wanted(&event.what)).expect("an event").at;
    at(|what| matches!(what, What::SegmentStarted { .. }))..at(|what| matches!(what, What::SegmentEnded { .. }))
}

/// The samples of the hold.
fn samples(recording: &Recording) -> Vec<(GuestNanos, &Sample)> {
    let hold = hold(recording);
    recording.samples().filter(|(at, _)| hold.contains(at)).collect()
}

/// Who runs on each CPU, from when on.
fn switches(recording: &Recording) -> BTreeMap<u32, Vec<&Switch>> {
    let mut switches: BTreeMap<u32, Vec<&Switch>> = BTreeMap::new();
    for event in recording.events() {
        if let What::Switches(part) = &event.what {
            switches.entry(part.cpu).or_default().extend(&part.switches);
        }
    }
    switches
}

/// The current task of each CPU in each sample is the one that the trace has there at that time.
fn check_current(recording: &Recording) {
    let switches = switches(recording);
    let mut seen = 0;
    for (at, sample) in samples(recording) {
        assert_eq!((sample.torn, sample.cpus.len()), (0, 4), "{at:?}");
        for cpu in &sample.cpus {
            let of_cpu = &switches[&cpu.cpu];
            let Some(before) = of_cpu.iter().rposition(|switch| switch.at <= at) else { continue };
            let is = |switch: &Switch| match &switch.next {
                Task::Worker(_) => cpu.comm.starts_with("cpu_spin"),
                Task::Other { pid, .. } => i64::from(*pid) == i64::from(cpu.curr),
            };
            // The kernel changes `curr` a moment before it traces the switch (kernel/sched/core.c, `__schedule`).
            let now = of_cpu.get(before + 1).filter(|switch| switch.at.0 - at.0 < SWITCH_NS);
            assert!(
                is(of_cpu[before]) || now.is_some_and(|switch| is(switch)),
                "{at:?}: {cpu:?}, but {:?}",
                of_cpu[before]
            );
            seen += 1;
        }
    }
    assert!(seen > 200, "only {seen} times");
}

/// Runnable tasks are the load, and now and then somebody else; each one waits, or is the current one.
fn check_load(recording: &Recording) {
    let samples = samples(recording);
    let running = |sample: &Sample, cpu: usize| sample.cpus[cpu].nr_running;
    for (at, sample) in &samples {
        assert!(running(sample, 2) >= CROWD && running(sample, 3) >= 1, "{at:?}: {:?}", sample.cpus);
    }
    let as_declared = samples.iter().filter(|(_, sample)| running(sample, 2) == CROWD && running(sample, 3) == 1);
    assert!(as_declared.count() * 10 > samples.len() * 8, "{samples:?}");
    let with_tasks = samples.iter().filter_map(|(at, sample)| Some((at, sample, sample.tasks.as_ref()?)));
    let (mut seen, mut under_way) = (0, 0);
    for (at, sample, tasks) in with_tasks {
        for cpu in &sample.cpus {
            let waiting = tasks.tasks.iter().filter(|task| task.cpu == cpu.cpu && task.waiting.is_some());
            let expected = waiting.count() as u32 + u32::from(cpu.curr != 0);
            // A task that wakes or goes to sleep at this very instant is counted already, or no longer.
            assert!(cpu.nr_running.abs_diff(expected) <= 1, "{at:?}: {cpu:?}, but {expected}");
            under_way += u32::from(cpu.nr_running != expected);
            seen += 1;
        }
    }
    assert!(seen >= 20 && under_way * 20 <= seen, "{under_way} of {seen}");
}

/// How far KASLR has moved the kernel.
fn slide(recording: &Recording) -> u64 {
    let slides = recording.host_events().filter_map(|(_, event)| match event {
        HostEvent::Monitored { slide, .. } => Some(*slide),
        _ => None,
    });
    slides.into_iter().next().expect("was found")
}

#[test]
fn the_kernel_and_its_trace_say_the_same() {
    for target in ["linux_6_12", "linux_6_16", "linux_7_3", "booted"] {
        let recording = recorded(target);
        assert_eq!(slide(&recording), 0);
        check_current(&recording);
        check_load(&recording);
    }
}

#[test]
fn a_kernel_that_moved_says_the_same() {
    for target in ["linux_6_12_moved", "linux_6_16_moved", "linux_7_3_moved"] {
        let recording = recorded(target);
        assert!(slide(&recording) >= 2 << 20, "{target}: {:#x}", slide(&recording));
        check_current(&recording);
        check_load(&recording);
    }
}

#[test]
fn under_the_real_clock_samples_are_taken_by_a_timer() {
    let recording = recorded("real_clock");
    let samples = samples(&recording);
    assert!(samples.len() > 5, "{} samples", samples.len());
    let crowded =
        samples.iter().filter(|(_, sample)| sample.cpus.iter().any(|cpu| cpu.cpu == 2 && cpu.nr_running >= CROWD));
    assert!(crowded.count() * 2 > samples.len(), "{samples:?}");
}

/// The declaration of `boots`, under the fixture or not, with `monitor`.
fn run(bare: &Bare, monitor: &Value, scheduler: bool) -> Recording {
    let mut spec: Value =
        serde_json::from_slice(&std::fs::read(Target::new("boots").inputs().spec).expect("reads")).expect("JSON");
    spec["name"] = json!("t");
    spec["start"] = json!("snapshot");
    spec["monitor"] = monitor.clone();
    if scheduler {
        spec["scheduler"] = json!({"name": "scx-ktstr", "attach_timeout": "8s"});
    }
    let path = bare.path("t.json");
    std::fs::write(&path, spec.to_string()).expect("writes");
    let fixture = fixture();
    let options: &[&str] = if scheduler { &["--scheduler", argument(&fixture)] } else { &[] };
    bare.run_file(&path, options).expect(0, &["1 passed"]);
    Recording::read(&bare.path("out/t-1n1l4c1t-s0.ktstr")).expect("reads")
}

#[test]
fn looking_changes_nothing() {
    let bare = Bare::of("boots");
    let watched = run(&bare, &json!(true), false);
    let unwatched = run(&bare, &json!(false), false);
    assert_eq!(unwatched.samples().count(), 0);
    assert!(matches!(compare(&watched, &unwatched), Comparison::Equal { samples: 0, .. }));
    let load = Load::on_all_cores();
    let again = compare(&watched, &run(&bare, &json!(true), false));
    drop(load);
    assert!(matches!(again, Comparison::Equal { samples: 100.., .. }), "{again:?}");
}

#[test]
fn queues_and_variables_of_a_scheduler_are_seen() {
    let series = json!([
        {"name": "cpus", "map": "ktstr_control", "key": 1},
        {"name": "victim", "map": "bss", "field": "victim"},
        {"name": "typo", "map": "bss", "field": "vctim"},
        {"name": "none", "map": "nobodys"},
    ]);
    let recording = run(&Bare::of("boots"), &json!({"tasks": "10ms", "series": series}), true);
    let mut depths = 0;
    for (at, sample) in samples(&recording) {
        let scx = sample.scx.as_ref().expect("has sched_ext");
        assert_eq!(scx.state, "enabled", "{at:?}");
        let tasks = &sample.tasks.as_ref().expect("looks at tasks").tasks;
        for dsq in scx.dsqs.iter().filter(|dsq| dsq.id & DSQ_BUILTIN == 0) {
            let within = tasks.iter().filter(|task| task.dsq == Some(dsq.id));
            let longest = within.clone().filter_map(|task| task.waiting).max();
            assert_eq!(
                (dsq.nr as usize, dsq.head_wait.is_some()),
                (within.count(), longest.is_some()),
                "{at:?}: {dsq:?}"
            );
            depths += dsq.nr;
        }
        let values = serde_json::to_value(&sample.series).expect("JSON");
        assert_eq!(values, json!([{"number": 4}, {"number": 0}, "unreadable", "no_map"]), "{at:?}");
    }
    assert!(depths >= 100 * (CROWD - 1), "{depths}");
    let problems: Vec<_> = recording
        .host_events()
        .filter_map(|(_, event)| match event {
            HostEvent::SeriesUnreadable { series, problem } => Some((series.as_str(), problem.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(problems, [("typo", "`.bss` has no `vctim` (in `vctim`); there is `victim`")]);
}
