//! Timelines and pages of histories.

use crate::{Chart, Head, MarkKind, Page, Run, Seen, Timeline};
use ktstr_model::event::GuestFailure;
use ktstr_model::host_op::{Access, HostOpResult, Variable};
use ktstr_model::monitor::SeriesSpec;
use ktstr_model::trace::{CpuSwitches, Switch, Task};
use ktstr_model::{Event, GuestNanos, HostOp, TraceEvent, Verdict, What};
use ktstr_recording::{HostEvent, Recording};
use ktstr_testing::history::history;
use ktstr_testing::Sampled;
use serde_json::{json, Value};

const HOSTILE: &str = "</script><img src=x onerror=alert(1)><!--";

fn sampled(topology: &str, ms: u64, traced: bool) -> Recording {
    Sampled { topology, ms, comm: HOSTILE, traced, history: "" }.recording()
}

#[test]
fn lanes_are_of_switches_where_there_are_any_and_else_of_samples() {
    let (samples, switches) =
        (Timeline::of(&sampled("1n1l2c1t", 90, false)), Timeline::of(&sampled("1n1l2c1t", 90, true)));
    assert_eq!((samples.seen, switches.seen), (Seen::Samples, Seen::Switches));
    let runs = |timeline: &Timeline| {
        let name =
            |run: &Run| (run.at - timeline.start, run.task.map(|task| timeline.tasks[task as usize].name.clone()));
        timeline.lanes[0].runs.iter().map(name).collect::<Vec<_>>()
    };
    let begun = samples.marks.iter().find(|mark| mark.kind == MarkKind::Hold).expect("a hold").at - samples.start;
    let at = |ms: u64, name: &str| (begun + ms * 1_000_000, Some(name.to_owned()));
    assert_eq!(runs(&samples), [at(0, "idle"), at(30, "cpu_spin/0"), at(60, HOSTILE)]);
    assert_eq!(runs(&switches)[..2], [at(0, "idle"), at(30, "a: cpu_spin/0")]);
    // Nobody knows what was behind the last switch.
    assert_eq!(runs(&switches).last(), Some(&(begun + 60_000_000, None)));
    assert!(samples.tasks.iter().all(|task| task.worker == task.name.starts_with("cpu_spin")), "{:?}", samples.tasks);
    // 3 runnable tasks of CPU 1 in the first 100 ms, of which one runs.
    assert_eq!(samples.lanes[1].waiting, [(samples.start + begun, 1)]);
}

#[test]
fn charts_have_what_samples_have() {
    let timeline = Timeline::of(&sampled("1n1l2c1t", 300, false));
    let names: Vec<&str> = timeline.charts.iter().map(|chart| chart.name.as_str()).collect();
    let expected = [
        "runnable tasks (nr_running)",
        "imbalance of nr_running",
        "tasks that wait for a CPU",
        "longest wait of a task",
        "tasks in local DSQs",
        "tasks in DSQ 0x10002",
        "tasks in DSQ 1 of the kernel",
        "SCX_EV_SELECT_CPU_FALLBACK",
        "nr_queued",
    ];
    assert_eq!(names, expected);
    let values = |chart: &Chart| chart.points.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    // Each 100 ms, and a rate from one sample to the next.
    assert_eq!(values(&timeline.charts[3]), [Some(0.0), Some(100.0), Some(200.0), None]);
    assert_eq!(values(&timeline.charts[7])[..3], [Some(100.0), Some(300.0), Some(500.0)]);
    // No map yet, then the number.
    assert_eq!(values(&timeline.charts[8])[4..6], [None, Some(-50.0)]);
}

#[test]
fn marks_say_what_was_done_and_what_was_not() {
    let mut history = history("1n1l2c1t", "a: cpu_spin x2\nhold 1s\nfreeze a\nstep\nhold 500ms");
    let failed = GuestFailure { doing: "freeze a".into(), problem: "no".into() };
    let at = history.events.iter().position(|event| event.what == What::StepStarted { step: 1 }).expect("a step");
    history.events.truncate(at + 1);
    history.events.push(Event { at: GuestNanos(history.events[at].at.0 + 5), what: What::Failed(failed) });
    let timeline = Timeline::of(&history.recording());
    let told: Vec<String> = timeline.marks.iter().map(|mark| format!("{:?} {}", mark.kind, mark.text)).collect();
    assert_eq!(
        told,
        [
            "Step step 0",
            "Op create cgroup a",
            "Op start 2 cpu_spin in a",
            "Hold hold 0",
            "Step step 1",
            "Op freeze a (no word of its end)",
            "Problem the guest could not freeze a: no"
        ]
    );
    let lasts: Vec<bool> = timeline.marks.iter().map(|mark| mark.until.is_some()).collect();
    assert_eq!(lasts, [true, false, false, true, true, false, false]);
}

#[test]
fn what_the_host_did_in_the_kernel_is_marked() {
    let mut history = history("1n1l2c1t", "a: cpu_spin x2\nhold 1s");
    let series = SeriesSpec { name: String::new(), map: "m".into(), field: "nr".into(), key: None, of_all: None };
    let accesses = [Access::Read { expect: None }, Access::Write(7), Access::Write(8)];
    history.case.host_ops = accesses
        .map(|access| HostOp { step: 0, path: String::new(), variable: Variable::Map(series.clone()), access })
        .into();
    let results = [HostOpResult::Read(3), HostOpResult::Written, HostOpResult::Failed("no map".into())];
    let start = Timeline::of(&history.recording()).start;
    for (result, op) in results.into_iter().zip(0..) {
        history = history.host(HostEvent::Op { op, at: Some(GuestNanos(start + u64::from(op))), result });
    }
    let timeline = Timeline::of(&history.recording());
    let told = timeline.marks.iter().filter(|mark| mark.text.contains("map m"));
    let told: Vec<(u64, MarkKind, &str)> = told.map(|mark| (mark.at - start, mark.kind, mark.text.as_str())).collect();
    let expected = [
        (0, MarkKind::Op, "read nr of map m: 3"),
        (1, MarkKind::Op, "write 7 to nr of map m"),
        (2, MarkKind::Problem, "write 8 to nr of map m: no map"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_missing_is_said() {
    let notes = |recording: &Recording| Timeline::of(recording).notes.join("\n");
    let plain = history("1n1l1c1t", "a: cpu_spin x1\nhold 1s");
    assert_eq!(notes(&plain.recording()), "no samples: the case asks for none (`monitor`)");
    let unmonitored = plain.clone().host(HostEvent::Unmonitored { problem: "no BTF".into() });
    assert_eq!(notes(&unmonitored.recording()), "no samples: no BTF");
    let lacking = plain.clone().host(HostEvent::Monitored {
        slide: 0,
        events: vec![],
        absent: vec!["sched_ext: before scx_root".into()],
    });
    assert!(notes(&lacking.recording()).starts_with("this kernel lacks sched_ext: before scx_root\n"));
    let mut traced = plain.clone();
    traced.case.plan.trace = vec![TraceEvent::SchedSwitch];
    assert!(notes(&traced.recording()).contains("of CPU 0 no context switches came"), "{}", notes(&traced.recording()));
}

#[test]
fn a_guest_that_says_odd_things_does_no_harm() {
    let mut history = history("1n1l1c1t", "a: cpu_spin x1\nhold 1s");
    let other = |pid| Task::Other { pid, comm: String::new() };
    let switch =
        |at, pid| Switch { at: GuestNanos(at), prev: other(pid), prev_runnable: true, next: Task::Worker(u32::MAX) };
    for cpu in [0, 7, u32::MAX] {
        let switches = vec![switch(u64::MAX, 5), switch(0, u32::MAX)];
        history.events.push(Event { at: GuestNanos(u64::MAX), what: What::Switches(CpuSwitches { cpu, switches }) });
    }
    for what in [
        What::StepStarted { step: u32::MAX },
        What::SegmentStarted { segment: u32::MAX },
        What::SegmentEnded { segment: 9 },
    ] {
        history.events.push(Event { at: GuestNanos(u64::MAX), what });
    }
    let recording = history.recording();
    let mut page = Page::default();
    page.add(head(Verdict::Fail), &json!({}), Ok(&recording));
    assert!(!page.render("t").is_empty());
    assert!(!crate::perfetto(&recording, &[]).is_empty());
}

fn head(verdict: Verdict) -> Head {
    Head { name: "t".into(), topology: "1n1l2c1t".into(), profile: String::new(), seed: 3, verdict }
}

/// What the script of the page reads.
fn data(page: &str, id: &str) -> Value {
    let begin = format!("<script type=\"application/json\" id=\"{id}\">");
    let (_, rest) = page.split_once(&begin).expect("the data");
    serde_json::from_str(rest.split_once("</script>").expect("an end").0).expect("JSON")
}

#[test]
fn names_cannot_leave_the_data_that_they_stand_in() {
    let mut page = Page::default();
    page.add(head(Verdict::Pass), &json!({ "console": [HOSTILE] }), Ok(&sampled("1n1l2c1t", 200, false)));
    let text = String::from_utf8(page.render(HOSTILE)).expect("text");
    assert!(!text.contains("<img"), "only as \\u003cimg");
    assert_eq!(text.matches("<!--").count(), 0);
    assert_eq!(text.matches("</script").count(), 3);
    assert_eq!(data(&text, "cases")["title"], HOSTILE);
    let case = data(&text, "case-0");
    assert_eq!(case["report"]["console"][0], HOSTILE);
    let tasks = case["timeline"]["tasks"].as_array().expect("tasks");
    assert!(tasks.iter().any(|task| task["name"] == HOSTILE), "{tasks:?}");
    assert_eq!(case["timeline"]["lanes"][0]["runs"].as_array().map(|runs| runs.len() % 2), Some(0));
    // No other script may run, and nothing may be fetched.
    assert!(text.contains("content=\"default-src 'none'; script-src 'sha256-"), "{}", &text[..400]);
}

#[test]
fn a_large_case_is_thinned_out_and_says_so() {
    let shown = |topology: &str, ms: u64| {
        let mut page = Page::default();
        page.add(head(Verdict::Fail), &json!({}), Ok(&sampled(topology, ms, false)));
        let text = String::from_utf8(page.render("t")).expect("text");
        assert!(text.len() < 5 << 20, "{}", text.len());
        data(&text, "case-0")["timeline"].take()
    };
    let wide = shown("1n16l32c1t", 12_000);
    assert_eq!(wide["lanes"].as_array().map(Vec::len), Some(512));
    assert!(
        wide["notes"][0].as_str().is_some_and(|note| note.starts_with("thinned out: what is shorter than ")),
        "{}",
        wide["notes"]
    );
    let long = shown("1n1l1c1t", 20_000);
    assert_eq!(long["notes"], json!(["thinned out: each point of a chart is the largest of 2 samples"]));
    assert_eq!(long["charts"][0]["values"].as_array().map(Vec::len), Some(1001));
}

#[test]
fn a_page_of_many_cases_is_bounded_and_says_which_have_timelines() {
    let recording = sampled("1n1l2c1t", 200, false);
    let mut page = Page::default();
    for case in 0..1000 {
        let verdict = if case == 999 { Verdict::Fail } else { Verdict::Pass };
        page.add(head(verdict), &json!({ "findings": [] }), Ok(&recording));
    }
    page.add(head(Verdict::Skipped), &json!({}), Err("there is no recording of it".into()));
    let text = String::from_utf8(page.render("t")).expect("text");
    assert!(text.len() < 1 << 20, "{}", text.len());
    let has = |case: usize| data(&text, &format!("case-{case}")).get("timeline").is_some();
    assert!(has(0) && has(9) && has(999) && !has(10) && !has(1000));
    let why = data(&text, "case-10")["no_timeline"].to_string();
    assert!(
        why.contains("of the green cases only the first 10 have one here; `ktstr report FILE --html PAGE`"),
        "{why}"
    );
    // Red ones have one as long as there is room.
    let long = json!({ "console": ["x".repeat(1 << 20)] });
    let mut page = Page::default();
    (0..40).for_each(|_| page.add(head(Verdict::Fail), &long, Ok(&recording)));
    let text = String::from_utf8(page.render("t")).expect("text");
    assert!(data(&text, "case-31").get("timeline").is_some());
    assert!(data(&text, "case-39")["no_timeline"].to_string().contains("32 MiB of timelines already"));
}
