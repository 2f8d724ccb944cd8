//! What is said of replays.

use super::*;
use ktstr_model::event::WorkerReport;
use ktstr_model::sample::{CpuSample, Sample};
use ktstr_recording::{compare, Entry, Header, HostEvent, HostNanos, Recording, Writer};
use ktstr_testing::plain_case;
use std::path::Path;

const FINISHED: Ending = Ending::Guest { code: 16 };

fn recording(events: &[Event], console: &str, ending: Option<Ending>) -> Recording {
    let header = Header { made_by: "test".into(), case: plain_case() };
    let mut writer = Writer::new(Vec::new(), Path::new("memory"), &header).expect("written");
    events.iter().for_each(|event| writer.guest(event).expect("written"));
    writer.console(console.as_bytes()).expect("written");
    if let Some(ending) = ending {
        writer.host(HostNanos(1), &HostEvent::Ended(ending)).expect("written");
    }
    Recording::from_bytes(&writer.finish().expect("written"), "memory").expect("reads")
}

fn replayed(recorded: &Recording, again: &Recording, clock: Clock) -> (Verdict, String) {
    let replayed = Replayed {
        number: 1,
        times: 2,
        clock,
        recorded: "x.ktstr".into(),
        recording: "ktstr-replay/1/x.ktstr".into(),
        comparison: compare(recorded, again),
    };
    (replayed.verdict(), replayed.to_string())
}

fn event(at: u64, what: What) -> Event {
    Event { at: GuestNanos(at), what }
}

fn events(cpu_ns: u64) -> Vec<Event> {
    let report = WorkerReport { worker: 3, cpu_ns, ..WorkerReport::default() };
    let started = event(1_500_000_000, What::SegmentStarted { segment: 0 });
    vec![started, event(2_000_000_001, What::Worker(report)), event(2_100_000_000, What::Finished)]
}

#[test]
fn an_event_that_differs_is_shown_with_its_fields() {
    let (recorded, again) = (recording(&events(7), "", Some(FINISHED)), recording(&events(8), "", Some(FINISHED)));
    let (verdict, text) = replayed(&recorded, &again, Clock::Virtual);
    assert_eq!(verdict, Verdict::Fail);
    insta::assert_snapshot!(text.replace(&recorded.guest_sha256_after(1).expect("one").to_string(), "SUM"), @r"
    DIFFERS replay 1 of 2: at event 1, after one in common, sha256 SUM
      last in common: segment 0 begins, at 1.500000000s of guest time
      recorded:       report of worker 3 on segment 0, at 2.000000001s of guest time
      replayed:       report of worker 3 on segment 0, at 2.000000001s of guest time
        what.Worker.cpu_ns: 7, then 8
      under the virtual clock and with equal inputs this should not be: keep both recordings, x.ktstr and ktstr-replay/1/x.ktstr
      recording:      ktstr-replay/1/x.ktstr
    ");
    let (_, text) = replayed(&recorded, &again, Clock::Real);
    assert!(text.contains("  the clock is real: "), "{text}");
}

#[test]
fn equal_is_a_pass() {
    let recorded = recording(&events(7), "oops", Some(FINISHED));
    let (verdict, text) = replayed(&recorded, &recorded, Clock::Virtual);
    assert_eq!(verdict, Verdict::Pass);
    let expected =
        format!("EQUAL   replay 1 of 2: 3 events, sha256 {}, and 4 bytes of the console", recorded.guest_sha256());
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn samples_that_differ_are_said_with_their_fields() {
    let seen = |nr_running: u32| {
        let mut recording = recording(&events(7), "", Some(FINISHED));
        for (at, nr_running) in [(10, 1), (20_000_000, nr_running)] {
            let cpus = vec![CpuSample { nr_running, ..CpuSample::default() }];
            let sample = Sample { cpus, ..Sample::default() };
            recording.entries.push(Entry::Sample(GuestNanos(at), Box::new(sample)));
        }
        recording
    };
    let (verdict, text) = replayed(&seen(1), &seen(1), Clock::Virtual);
    assert!(verdict == Verdict::Pass && text.contains(", and 2 samples\n"), "{text}");
    let (verdict, text) = replayed(&seen(1), &seen(2), Clock::Virtual);
    let expected = "in what the host saw of the kernel at 0.020000000s of guest time, 1 samples before it and 3 events are equal\n    \
                    cpus[0].nr_running: 1, then 2\n";
    assert!(verdict == Verdict::Fail && text.contains(expected), "{text}");
}

#[test]
fn what_was_cut_off_is_unknown_and_a_replay_that_was_is_infrastructure() {
    let (whole, cut) = (recording(&events(7), "", Some(FINISHED)), recording(&events(7)[..1], "", None));
    let (verdict, text) = replayed(&cut, &whole, Clock::Virtual);
    assert_eq!(verdict, Verdict::Unknown);
    assert!(
        text.starts_with("UNKNOWN replay 1 of 2: equal as far as the recording goes, after one in common, "),
        "{text}"
    );
    assert!(text.contains("it is not whole: it does not say how the machine ended"), "{text}");
    assert!(
        text.contains(
            "\n  replayed:       report of worker 3 on segment 0, at 2.000000001s of guest time (2 more in all)"
        ),
        "{text}"
    );
    let (verdict, text) = replayed(&whole, &cut, Clock::Virtual);
    assert_eq!(verdict, Verdict::Infrastructure);
    assert!(text.starts_with("INFRA   replay 1 of 2: the replay did not come to its end: "), "{text}");
    let ended = recording(&events(7)[..1], "", Some(FINISHED));
    let (verdict, text) = replayed(&whole, &ended, Clock::Virtual);
    assert_eq!(verdict, Verdict::Fail);
    assert!(text.starts_with("DIFFERS replay 1 of 2: the replayed guest said no more, "), "{text}");
    let nothing = recording(&[], "", Some(FINISHED));
    assert_eq!(replayed(&nothing, &nothing, Clock::Virtual).0, Verdict::Unknown);
}

#[test]
fn lost_messages_are_no_difference() {
    let (whole, lost) = (recording(&events(7), "", Some(FINISHED)), with_a_gap(&events(7)));
    let (verdict, text) = replayed(&lost, &whole, Clock::Virtual);
    assert_eq!(verdict, Verdict::Unknown);
    insta::assert_snapshot!(text.replace(&whole.guest_sha256_after(1).expect("one").to_string(), "SUM"), @r"
    UNKNOWN replay 1 of 2: equal up to a gap in the recording, after one in common, sha256 SUM; it is not whole: messages of the guest were lost: overrun
      last in common: segment 0 begins, at 1.500000000s of guest time
      recorded:       all steps are done, at 2.100000000s of guest time
      replayed:       report of worker 3 on segment 0, at 2.000000001s of guest time
      recording:      ktstr-replay/1/x.ktstr
    ");
    let (verdict, text) = replayed(&whole, &lost, Clock::Virtual);
    assert_eq!(verdict, Verdict::Infrastructure);
    assert!(
        text.starts_with("INFRA   replay 1 of 2: the replay has a gap: messages of the guest were lost: overrun; "),
        "{text}"
    );
}

/// The second event is lost.
fn with_a_gap(events: &[Event]) -> Recording {
    let header = recording(&[], "", None).header;
    let mut writer = Writer::new(Vec::new(), Path::new("memory"), &header).expect("written");
    writer.guest(&events[0]).expect("written");
    let lost = HostEvent::ChannelProblem { offset: 64, problem: "overrun".into() };
    writer.host(HostNanos(1), &lost).expect("written");
    events[2..].iter().for_each(|event| writer.guest(event).expect("written"));
    writer.host(HostNanos(2), &HostEvent::Ended(FINISHED)).expect("written");
    Recording::from_bytes(&writer.finish().expect("written"), "memory").expect("reads")
}

#[test]
fn other_ends_and_other_lines_are_shown() {
    let panic = Some(Ending::Panic { message: "no init".into() });
    let of = |console, ending| recording(&events(7), console, ending);
    let (verdict, text) = replayed(&of("", Some(FINISHED)), &of("", panic), Clock::Virtual);
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        text.contains("all 3 events are equal, the end is not\n  recorded:       the guest ended with code 16\n"),
        "{text}"
    );
    let (verdict, text) = replayed(&of("a\nb\n", Some(FINISHED)), &of("a\nc\n", Some(FINISHED)), Clock::Virtual);
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        text.contains("on the console at byte 2, 3 events are equal\n  recorded:       b\n  replayed:       c\n"),
        "{text}"
    );
}
