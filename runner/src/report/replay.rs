//! What a replay came to, in words: `Comparison ──Replayed──▶ verdict, text`.

use ktstr_model::{Clock, Event, GuestNanos, Verdict, What};
use ktstr_recording::compare::{Common, ConsoleDifference, EventDifference, Gap, Prefix, SampleDifference, Side};
use ktstr_recording::fields::FieldDifference;
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
            Comparison::OtherCase(_)
            | Comparison::Event(_)
            | Comparison::Console(_)
            | Comparison::Sample(_)
            | Comparison::Ending { .. } => Verdict::Fail,
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
        Comparison::Equal { events, sha256, console, samples } => {
            let and = |count: usize, of: &str| if count == 0 { String::new() } else { format!(", and {count} {of}") };
            let (console, samples) = (and(*console, "bytes of the console"), and(*samples, "samples"));
            format!("{events} events, sha256 {sha256}{console}{samples}")
        }
        Comparison::OtherCase(_) => "it is not the same case".into(),
        Comparison::Event(difference) => {
            format!("at event {}, {}", difference.common.events, in_common(&difference.common))
        }
        Comparison::Console(difference) => {
            format!("on the console at byte {}, {} events are equal", difference.offset, difference.events)
        }
        Comparison::Sample(difference) => {
            let SampleDifference { events, samples, at, .. } = difference.as_ref();
            let at = seconds(*at);
            format!(
                "in what the host saw of the kernel at {at}, {samples} samples before it and {events} events are equal"
            )
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
        Comparison::Sample(difference) => shown(&difference.fields),
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
    [both_events(difference), shown(&difference.fields())].concat()
}

fn shown(fields: &[FieldDifference]) -> Vec<String> {
    let mut lines: Vec<_> = fields.iter().take(FIELDS_MAX).map(|field| format!("  {field}")).collect();
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
        What::HostOp { op } => format!("the guest waits for op {op} of the host"),
        What::SchedulerCommand { args, .. } => format!("the scheduler's program has run with {args:?}"),
    };
    format!("{what}, at {}", seconds(event.at))
}

fn seconds(at: GuestNanos) -> String {
    format!("{:.9}s of guest time", at.0 as f64 / 1e9)
}

/// How a machine ended, in words.
pub(crate) fn ending(ending: &Ending) -> String {
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
mod tests;
