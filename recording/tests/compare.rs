//! Two recordings of a case: equal, or where they part.

use ktstr_model::case::Input;
use ktstr_model::{Case, Clock, Event, GuestNanos, MonitorSpec, Nanos, Sample, StartMode, What};
use ktstr_recording::compare::{differing_inputs, Side};
use ktstr_recording::{compare, Comparison, Ending, Entry, Header, HostEvent, HostNanos, Recording, Writer};
use ktstr_testing::plain_case;
use proptest::prelude::*;
use std::path::Path;

const FINISHED: Ending = Ending::Guest { code: 16 };

fn input(name: &str, sha256: &str) -> Input {
    Input { name: name.into(), sha256: sha256.into() }
}

fn case() -> Case {
    Case { inputs: vec![input("kernel", "aa"), input("snapshot", "bb")], ..plain_case() }
}

/// A recording of `case` with these events, the host's part at the time `host_ns`; without an ending it is cut off.
fn of(case: &Case, events: &[Event], host_ns: u64, ending: Option<&Ending>) -> Recording {
    with_console(case, events, host_ns, ending, "")
}

fn with_console(case: &Case, events: &[Event], host_ns: u64, ending: Option<&Ending>, console: &str) -> Recording {
    let header = Header { made_by: format!("test {host_ns}"), case: case.clone() };
    let mut writer = Writer::new(Vec::new(), Path::new("memory"), &header).expect("written");
    writer.host(HostNanos(host_ns), &HostEvent::GuestStarted).expect("written");
    events.iter().for_each(|event| writer.guest(event).expect("written"));
    writer.console(console.as_bytes()).expect("written");
    if let Some(ending) = ending {
        writer.host(HostNanos(host_ns + 1), &HostEvent::Ended(ending.clone())).expect("written");
    }
    Recording::from_bytes(&writer.finish().expect("written"), "memory").expect("reads")
}

fn recording(events: &[Event], host_ns: u64) -> Recording {
    of(&case(), events, host_ns, Some(&FINISHED))
}

fn event(at: u64, segment: u32) -> Event {
    Event { at: GuestNanos(at), what: What::SegmentStarted { segment } }
}

fn any_events(sizes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec((any::<u64>(), any::<u32>()).prop_map(|(at, segment)| event(at, segment)), sizes)
}

proptest! {
    #[test]
    fn equal_is_equal_whatever_the_host_measured(events in any_events(1..20), first: u32, second: u32) {
        let (first, second) = (recording(&events, first.into()), recording(&events, second.into()));
        let expected = Comparison::Equal { events: events.len(), sha256: first.guest_sha256(), console: 0, samples: 0 };
        prop_assert_eq!(compare(&first, &second), expected);
        prop_assert_eq!(first.guest_sha256(), second.guest_sha256());
    }

    #[test]
    fn a_changed_event_is_found_where_it_is(
        events in any_events(1..20),
        at: prop::sample::Index,
        later in any_events(0..20),
        change in 1u64..,
    ) {
        let at = at.index(events.len());
        // Whatever follows it.
        let mut other = events[..=at].to_vec();
        other[at].at.0 ^= change;
        other.extend(later);
        let (first, second) = (recording(&events, 0), recording(&other, 0));
        prop_assert_ne!(first.guest_sha256(), second.guest_sha256());
        let Comparison::Event(difference) = compare(&first, &second) else {
            return Err(TestCaseError::fail("no difference was seen"));
        };
        prop_assert_eq!(difference.common.events, at);
        prop_assert_eq!(Some(difference.common.sha256), second.guest_sha256_after(at));
        prop_assert_eq!(difference.common.last.as_ref(), at.checked_sub(1).map(|last| &events[last]));
        prop_assert_eq!((&difference.first, &difference.second), (&events[at], &other[at]));
        let fields: Vec<String> = difference.fields().iter().map(|field| field.path.clone()).collect();
        prop_assert_eq!(fields, ["at"]);
    }

    #[test]
    fn a_prefix_is_a_prefix_from_both_sides(events in any_events(1..20), cut: prop::sample::Index) {
        let cut = cut.index(events.len());
        let (short, long) = (recording(&events[..cut], 0), recording(&events, 0));
        prop_assert_eq!(Some(short.guest_sha256()), long.guest_sha256_after(cut));
        for (comparison, side) in [(compare(&short, &long), Side::First), (compare(&long, &short), Side::Second)] {
            let Comparison::Prefix(prefix) = comparison else {
                return Err(TestCaseError::fail("no prefix was seen"));
            };
            prop_assert_eq!((prefix.shorter, prefix.common.events, prefix.more), (side, cut, events.len() - cut));
            prop_assert_eq!(prefix.next.as_ref(), events.get(cut));
            prop_assert_eq!(prefix.incomplete, None);
        }
    }
}

#[test]
fn what_was_cut_off_is_not_equal() {
    let events = [event(1, 0), event(2, 1)];
    let whole = recording(&events, 0);
    let reason = |ending: Option<&Ending>| match compare(&of(&case(), &events, 0, ending), &whole) {
        Comparison::Prefix(prefix) => {
            assert_eq!((prefix.shorter, prefix.more, &prefix.next), (Side::First, 0, &None));
            prefix.incomplete.expect("why")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(None), "it does not say how the machine ended");
    assert_eq!(reason(Some(&Ending::Interrupted { reason: "SIGTERM".into() })), "it was interrupted: SIGTERM");
    let failed = Ending::EmulatorFailed { status: "signal 9".into(), log: String::new() };
    assert_eq!(reason(Some(&failed)), "the emulator failed: signal 9");
}

/// A recording of these events, some of which the host has missed.
fn missing(events: &[Event], missing: std::ops::Range<usize>) -> Recording {
    let header = Header { made_by: "test".into(), case: case() };
    let mut writer = Writer::new(Vec::new(), Path::new("memory"), &header).expect("written");
    for (number, event) in events.iter().enumerate() {
        if number == missing.start {
            let lost = HostEvent::ChannelProblem { offset: 64, problem: "overrun".into() };
            writer.host(HostNanos(7), &lost).expect("written");
        }
        if !missing.contains(&number) {
            writer.guest(event).expect("written");
        }
    }
    writer.host(HostNanos(8), &HostEvent::Ended(FINISHED)).expect("written");
    Recording::from_bytes(&writer.finish().expect("written"), "memory").expect("reads")
}

#[test]
fn lost_messages_are_no_difference_and_not_equal() {
    let events: Vec<Event> = (0..6).map(|at| event(at.into(), at)).collect();
    let (whole, lost) = (recording(&events, 0), missing(&events, 2..4));
    for (comparison, side) in [(compare(&lost, &whole), Side::First), (compare(&whole, &lost), Side::Second)] {
        let Comparison::Gap(gap) = comparison else { panic!("{comparison:?}") };
        assert_eq!((gap.side, gap.next.common.events), (side, 2));
        assert_eq!(gap.why, "messages of the guest were lost: overrun");
        let (first, second) = if side == Side::First { (4, 2) } else { (2, 4) };
        assert_eq!((&gap.next.first, &gap.next.second), (&events[first], &events[second]));
    }
    // Both: it is the replay that can be had again.
    let both = compare(&lost, &missing(&events, 2..3));
    assert!(matches!(&both, Comparison::Gap(gap) if gap.side == Side::Second), "{both:?}");
    // Those at the end, and the same ones on both sides.
    for (first, second) in [(&missing(&events, 4..6), &whole), (&whole, &missing(&events, 4..6)), (&lost, &lost)] {
        let comparison = compare(first, second);
        assert!(matches!(&comparison, Comparison::Prefix(prefix) if prefix.incomplete.is_some()), "{comparison:?}");
    }
    // What differs before anything was lost differs.
    let mut other = events.clone();
    other[1].at.0 += 100;
    let difference = compare(&lost, &recording(&other, 0));
    assert!(matches!(&difference, Comparison::Event(difference) if difference.common.events == 1), "{difference:?}");
}

#[test]
fn a_machine_that_ended_otherwise_is_not_equal() {
    let events = [event(1, 0)];
    let ends = |first: &Ending, second: &Ending| {
        compare(&of(&case(), &events, 0, Some(first)), &of(&case(), &events, 0, Some(second)))
    };
    let panic = Ending::Panic { message: "x".into() };
    let expected = Comparison::Ending { events: 1, first: FINISHED, second: panic.clone() };
    assert_eq!(ends(&FINISHED, &panic), expected);
    // The host's measure of a hang is not the guest's doing.
    let hang = |cpu_ms| Ending::Hang { cpu_ms, cpus: vec![] };
    assert!(matches!(ends(&hang(10_001), &hang(10_020)), Comparison::Equal { .. }));
}

#[test]
fn guests_that_said_nothing_are_not_equal() {
    assert_eq!(compare(&recording(&[], 0), &recording(&[], 0)), Comparison::Nothing);
}

#[test]
fn consoles_are_equal_if_one_begins_with_the_other() {
    let says = |events: &[Event], first: &str, second: &str| {
        let [first, second] = [first, second].map(|text| with_console(&case(), events, 0, Some(&FINISHED), text));
        compare(&first, &second)
    };
    // The tail is cut off where the host happened to see the end.
    let equal = says(&[event(1, 0)], "[ 1.0] one\r\n[ 1.1] two", "[ 1.0] one\r\n[ 1.1] tw");
    assert!(matches!(equal, Comparison::Equal { events: 1, console: 21, .. }), "{equal:?}");
    // A kernel that died before its first event has been looked at all the same.
    assert!(matches!(says(&[], "oops", "oops"), Comparison::Equal { events: 0, console: 4, .. }));
    let Comparison::Console(difference) =
        says(&[event(1, 0)], "[ 1.0] one\r\n[ 1.1] two\r\n", "[ 1.0] one\r\n[ 1.2] two\r\n")
    else {
        panic!("no difference was seen");
    };
    assert_eq!((difference.events, difference.offset), (1, 16));
    assert_eq!((difference.first.as_str(), difference.second.as_str()), ("[ 1.1] two", "[ 1.2] two"));
}

#[test]
fn samples_are_compared_as_far_as_both_go_if_they_were_taken_alike() {
    let monitored = |interval: u64| {
        let monitor = MonitorSpec { interval: Nanos(interval), ..MonitorSpec::default() };
        Case { start: StartMode::Snapshot, monitor: Some(monitor), ..case() }
    };
    let seen = |case: &Case, torn: &[u32]| {
        let mut recording = of(case, &[event(1, 0)], 0, Some(&FINISHED));
        let samples =
            torn.iter().zip(1..).map(|(torn, at)| (GuestNanos(at), Sample { torn: *torn, ..Sample::default() }));
        recording.entries.extend(samples.map(|(at, sample)| Entry::Sample(at, Box::new(sample))));
        recording
    };
    let [ours, rarer] = [monitored(10), monitored(20)];
    let none = Case { monitor: None, inputs: vec![input("snapshot", "bb")], ..ours.clone() };
    let real = Case { clock: Clock::Real, ..ours.clone() };
    // And how many are compared.
    let equal = [
        (seen(&ours, &[0, 1, 2]), seen(&ours, &[0, 1]), 2),
        (seen(&ours, &[0, 1]), seen(&none, &[]), 0),
        (seen(&ours, &[0, 1]), seen(&rarer, &[1]), 0),
        (seen(&real, &[0]), seen(&real, &[1]), 0),
    ];
    for (first, second, expected) in equal {
        let comparison = compare(&first, &second);
        assert!(matches!(comparison, Comparison::Equal { samples, .. } if samples == expected), "{comparison:?}");
    }
    let Comparison::Sample(difference) = compare(&seen(&ours, &[0, 1, 2]), &seen(&ours, &[0, 5, 2])) else {
        panic!("no difference was seen");
    };
    assert_eq!((difference.samples, difference.at), (1, GuestNanos(2)));
    assert_eq!(difference.fields.iter().map(ToString::to_string).collect::<Vec<_>>(), ["torn: 1, then 5"]);
}

#[test]
fn another_case_is_named_by_its_fields() {
    let events = [event(1, 0)];
    let other = |change: fn(&mut Case)| {
        let mut other = case();
        change(&mut other);
        match compare(&recording(&events, 0), &of(&other, &events, 0, Some(&FINISHED))) {
            Comparison::OtherCase(fields) => fields.iter().map(ToString::to_string).collect::<Vec<_>>(),
            _ => vec![],
        }
    };
    assert_eq!(other(|case| case.seed = 7), ["seed: 0, then 7"]);
    assert_eq!(other(|case| case.kernel_args.push("quiet".into())), ["kernel_args[0]: nothing, then quiet"]);
    assert_eq!(other(|case| case.inputs[1].sha256 = "cc".into()), ["inputs.snapshot: bb, then cc"]);
    // Neither is known to the guest.
    assert_eq!(other(|case| case.name = "u[1n1l1c1t][s0]".into()), Vec::<String>::new());
}

#[test]
fn inputs_are_compared_by_name() {
    let recorded = [input("kernel", "aa"), input("snapshot", "bb"), input("agent", "dd")];
    let given = [input("agent", "dd"), input("kernel", "cc"), input("plugin", "ee")];
    let differing = differing_inputs(&recorded, &given);
    let shown: Vec<_> = differing.iter().map(|d| (d.name.as_str(), d.first.as_deref(), d.second.as_deref())).collect();
    assert_eq!(
        shown,
        [("kernel", Some("aa"), Some("cc")), ("plugin", None, Some("ee")), ("snapshot", Some("bb"), None)]
    );
}
