//! What a replay came to, in words: `Comparison ──Replayed──▶ verdict, text`.

use ktstr_model::{Clock, Event, Verdict, What};
use ktstr_recording::compare::{Common, ConsoleDifference, EventDifference, Gap, Prefix, Side};
use ktstr_recording::{Comparison, Ending};
use std::fmt;

/// Fields that are shown of an event that differs; a histogram has hundreds.
const FIELDS_MAX: usize = 8;

/// A case that was run again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replayed {
    /// Which of so many replays, from 1.
    pub(crate) number: u32,
    /// So many.
    pub(crate) times: u32,
    /// What its time followed.
    pub(crate) clock: Clock,
    /// The recording that was replayed.
    pub(crate) recorded: String,
    /// The recording that was made.
    pub(crate) recording: String,
    /// The first with the second.
    pub(crate) comparison: Comparison,
}

impl Replayed {
    /// Equal is a pass and nothing else is. Where one of the two was cut off, nobody knows how it would have gone on.
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.comparison {
            Comparison::Equal { .. } => Verdict::Pass,
            Comparison::OtherCase(_) | Comparison::Event(_) | Comparison::Console(_) | Comparison::Ending { .. } => {
                Verdict::Fail
            }
            Comparison::Prefix(prefix) if prefix.incomplete.is_none() => Verdict::Fail,
            Comparison::Prefix(prefix) => not_whole(prefix.shorter),
            Comparison::Gap(gap) => not_whole(gap.side),
            Comparison::Nothing => Verdict::Unknown,
        }
    }

    fn advice(&self) -> Option<String> {
        if self.verdict() != Verdict::Fail {
            return None;
        }
        Some(match self.clock {
            Clock::Real => "the clock is real: what the host did then is part of the run, so no replay is equal".into(),
            Clock::Virtual => format!(
                "under the virtual clock and with equal inputs this should not be: keep both recordings, {} and {}",
                self.recorded, self.recording
            ),
        })
    }
}

/// A recording that is not whole cannot be had again; a replay that is not can.
fn not_whole(side: Side) -> Verdict {
    match side {
        Side::First => Verdict::Unknown,
        Side::Second => Verdict::Infrastructure,
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = match self.verdict() {
            Verdict::Pass => "EQUAL",
            Verdict::Skipped | Verdict::Unknown => "UNKNOWN",
            Verdict::Infrastructure => "INFRA",
            Verdict::Fail => "DIFFERS",
        };
        let Self { number, times, recording, .. } = self;
        write!(f, "{label:<7} replay {number} of {times}: {}", headline(&self.comparison))?;
        details(&self.comparison).iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        self.advice().iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        write!(f, "\n  recording:      {recording}")
    }
}

fn headline(comparison: &Comparison) -> String {
    match comparison {
        Comparison::Equal { events, sha256, console } => {
            let console = if *console == 0 { String::new() } else { format!(", and {console} bytes of the console") };
            format!("{events} events, sha256 {sha256}{console}")
        }
        Comparison::OtherCase(_) => "it is not the same case".into(),
        Comparison::Event(difference) => {
            format!("at event {}, {}", difference.common.events, in_common(&difference.common))
        }
        Comparison::Console(difference) => {
            format!("on the console at byte {}, {} events are equal", difference.offset, difference.events)
        }
        Comparison::Ending { events, .. } => format!("all {events} events are equal, the end is not"),
        Comparison::Prefix(prefix) => prefix_headline(prefix),
        Comparison::Gap(gap) => gap_headline(gap),
        Comparison::Nothing => "neither guest said or wrote anything: there is nothing to compare".into(),
    }
}

fn prefix_headline(prefix: &Prefix) -> String {
    let common = in_common(&prefix.common);
    match (prefix.shorter, &prefix.incomplete) {
        (Side::First, Some(why)) => format!("equal as far as the recording goes, {common}; it is not whole: {why}"),
        (Side::Second, Some(why)) => format!("the replay did not come to its end: {why}; {common}"),
        (Side::First, None) => format!("the recorded guest said no more, {common}"),
        (Side::Second, None) => format!("the replayed guest said no more, {common}"),
    }
}

fn gap_headline(gap: &Gap) -> String {
    let Gap { side, why, next } = gap;
    let common = in_common(&next.common);
    match side {
        Side::First => format!("equal up to a gap in the recording, {common}; it is not whole: {why}"),
        Side::Second => format!("the replay has a gap: {why}; {common}"),
    }
}

fn in_common(common: &Common) -> String {
    match common.events {
        0 => "with no event in common".into(),
        1 => format!("after one in common, sha256 {}", common.sha256),
        events => format!("after {events} in common, sha256 {}", common.sha256),
    }
}

fn details(comparison: &Comparison) -> Vec<String> {
    match comparison {
        Comparison::OtherCase(fields) => fields.iter().map(ToString::to_string).collect(),
        Comparison::Event(difference) => event_details(difference),
        Comparison::Gap(gap) => both_events(&gap.next),
        Comparison::Ending { first, second, .. } => {
            vec![format!("recorded:       {}", ending(first)), format!("replayed:       {}", ending(second))]
        }
        Comparison::Console(difference) => {
            let ConsoleDifference { first, second, .. } = difference.as_ref();
            vec![format!("recorded:       {first}"), format!("replayed:       {second}")]
        }
        Comparison::Prefix(prefix) => {
            let Prefix { shorter, common, more, next, .. } = prefix.as_ref();
            let longer = if *shorter == Side::First { "replayed:       " } else { "recorded:       " };
            let goes_on = |event: &Event| format!("{longer}{} ({more} more in all)", told(event));
            last_common(common).into_iter().chain(next.as_ref().map(goes_on)).collect()
        }
        Comparison::Equal { .. } | Comparison::Nothing => vec![],
    }
}

fn event_details(difference: &EventDifference) -> Vec<String> {
    let mut lines = both_events(difference);
    let fields = difference.fields();
    lines.extend(fields.iter().take(FIELDS_MAX).map(|field| format!("  {field}")));
    if fields.len() > FIELDS_MAX {
        lines.push(format!("  and {} more fields", fields.len() - FIELDS_MAX));
    }
    lines
}

/// Events on both sides of a gap are different ones: their fields say nothing.
fn both_events(difference: &EventDifference) -> Vec<String> {
    let EventDifference { common, first, second } = difference;
    let both = [format!("recorded:       {}", told(first)), format!("replayed:       {}", told(second))];
    last_common(common).into_iter().chain(both).collect()
}

fn last_common(common: &Common) -> Option<String> {
    common.last.as_ref().map(|event| format!("last in common: {}", told(event)))
}

fn told(event: &Event) -> String {
    let what = match &event.what {
        What::Booted(seen) => format!("the guest has booted {}", seen.release),
        What::Ready => "the agent has its plan".into(),
        What::StepStarted { step } => format!("step {step} begins"),
        What::SegmentStarted { segment } => format!("segment {segment} begins"),
        What::SegmentEnded { segment } => format!("segment {segment} ends"),
        What::Worker(report) => format!("report of worker {} on segment {}", report.worker, report.segment),
        What::WorkerDied { worker, status } => format!("worker {worker} died with wait status {status}"),
        What::Failed(failure) => format!("the guest could not {}: {}", failure.doing, failure.problem),
        What::Finished => "all steps are done".into(),
        What::Switches(part) => format!("{} context switches of CPU {}", part.switches.len(), part.cpu),
        What::SwitchesEnded(count) => format!("the last context switch of CPU {}", count.cpu),
        What::SchedulerStarted { pid } => format!("the scheduler was started as process {pid}"),
        What::SchedExt(state) => format!("sched_ext is {}", state.state),
        What::SchedulerOutput(line) => format!("the scheduler prints {:?}", line.text),
        What::SchedulerSignalled { signal } => format!("the scheduler gets signal {signal}"),
        What::SchedulerExited { status } => format!("the scheduler ended with wait status {status}"),
        What::KernelLog(line) => format!("the kernel says {:?}", line.text),
        What::SchedulerOverdue(overdue) => format!("the scheduler is late after {}", overdue.waited),
        What::BrokenOff => "the guest does not go on".into(),
        What::ShellExited { status } => format!("the shell ended with wait status {status}"),
        What::SchedExtDump { line } => format!("the kernel dumps {line:?}"),
        What::SchedulerCommand { args, .. } => format!("the scheduler's program has run with {args:?}"),
    };
    format!("{what}, at {:.9}s of guest time", event.at.0 as f64 / 1e9)
}

fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Guest { code } => format!("the guest ended with code {code}"),
        Ending::PowerOff => "the guest switched itself off".into(),
        Ending::Reboot => "the guest restarted".into(),
        Ending::TripleFault => "triple fault".into(),
        Ending::Panic { message } => format!("panic: {message}"),
        Ending::Hang { .. } => "hang".into(),
        Ending::BootTimeout { .. } => "the guest never came up".into(),
        Ending::EmulatorFailed { status, .. } => format!("the emulator failed: {status}"),
        Ending::Interrupted { reason } => format!("interrupted: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::event::WorkerReport;
    use ktstr_model::{Backend, Case, GuestNanos, Placement, Plan, StartMode, Topology};
    use ktstr_recording::{compare, Header, HostEvent, HostNanos, Recording, Writer};
    use std::path::Path;

    const FINISHED: Ending = Ending::Guest { code: 16 };

    fn recording(events: &[Event], console: &str, ending: Option<Ending>) -> Recording {
        let case = Case {
            name: "t[1n1l1c1t][s0]".into(),
            topology: Topology::new(1, 1, 1, 1).expect("can be"),
            backend: Backend::Tcg,
            clock: Clock::Virtual,
            start: StartMode::Boot,
            placement: Placement::default(),
            seed: 0,
            profile: None,
            monitor: None,
            kernel_args: vec![],
            plan: Plan { seed: 0, cgroups: vec![], groups: vec![], steps: vec![], trace: vec![], scheduler: None },
            checks: vec![],
            expect_failure: None,
            inputs: vec![],
        };
        let header = Header { made_by: "test".into(), case };
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
}
