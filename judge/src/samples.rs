//! The view of samples that checks look at: those that were taken in the holds of a step, step by step.
//!
//! A step's time goes from the start of its first hold to the end of its last, ops between holds included. A hold that has not ended goes on to
//! where the guest broke off, or, if it says nothing any more, to the last sample.

use crate::checks::NoData;
use ktstr_model::{Case, GuestNanos, Sample, What};
use ktstr_recording::{HostEvent, Recording};
use std::collections::BTreeMap;

const NO_END: GuestNanos = GuestNanos(u64::MAX);

/// What the host saw of the guest's kernel.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    /// Steps that have begun, in order.
    pub(crate) steps: Vec<StepSamples<'a>>,
    /// Names of the events of sched_ext.
    pub(crate) events: &'a [String],
    /// What the kernel lacks.
    absent: &'a [String],
    /// Why series cannot be read, by their names.
    pub(crate) unreadable: BTreeMap<&'a str, &'a str>,
    /// Why it could not be looked at, or no longer.
    problem: Option<&'a str>,
    /// Whether the host looked at it.
    monitored: bool,
}

/// Of one step.
#[derive(Debug)]
pub(crate) struct StepSamples<'a> {
    pub(crate) step: u32,
    pub(crate) start: GuestNanos,
    /// Start and end of each hold.
    holds: Vec<(GuestNanos, GuestNanos)>,
    /// Whether its last hold came to its end.
    pub(crate) has_ended: bool,
    /// In order.
    pub(crate) samples: Vec<(GuestNanos, &'a Sample)>,
}

impl StepSamples<'_> {
    fn end(&self) -> GuestNanos {
        self.holds.last().map_or(self.start, |(_, end)| *end)
    }

    /// The start of the hold that is going on at a time; none: ops are applied.
    pub(crate) fn held_since(&self, at: u64) -> Option<u64> {
        let hold = self.holds.iter().rev().find(|(start, _)| start.0 <= at);
        hold.filter(|(_, end)| at <= end.0).map(|(start, _)| start.0)
    }
}

impl<'a> Samples<'a> {
    pub(crate) fn of(recording: &'a Recording) -> Self {
        let mut all = Self {
            steps: windows(recording),
            events: &[],
            absent: &[],
            unreadable: BTreeMap::new(),
            problem: None,
            monitored: false,
        };
        for (_, event) in recording.host_events() {
            match event {
                HostEvent::Monitored { events, absent, .. } => {
                    (all.monitored, all.events, all.absent) = (true, events, absent);
                }
                HostEvent::Unmonitored { problem } => all.problem = Some(problem),
                HostEvent::SeriesUnreadable { series, problem } => {
                    all.unreadable.insert(series, problem);
                }
                _ => {}
            }
        }
        for (at, sample) in recording.samples() {
            let after = all.steps.partition_point(|step| step.start <= at);
            let step = after.checked_sub(1).and_then(|index| all.steps.get_mut(index)).filter(|step| at <= step.end());
            step.into_iter().for_each(|step| step.samples.push((at, sample)));
        }
        // The guest's clock goes on only; a recording may say otherwise.
        all.steps.iter_mut().for_each(|step| step.samples.sort_by_key(|(at, _)| *at));
        all
    }

    /// Whether any sample is in any step.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| step.samples.is_empty())
    }

    /// Why the host has stopped to look before the end, in words; none: it has not.
    pub(crate) fn stopped(&self) -> Option<String> {
        let problem = self.problem.filter(|_| self.monitored)?;
        Some(format!("the kernel was not looked at to the end: {problem}"))
    }

    /// Why no look at tasks counts, in words; `none`: if there was none.
    pub(crate) fn why_no_look(&self, none: &str) -> String {
        let mut all = self.steps.iter().flat_map(|step| &step.samples);
        let why = "no look saw all tasks: their list could not be read to its end";
        if all.any(|(_, sample)| sample.tasks.is_some()) { why } else { none }.into()
    }

    /// Why there is none, in words.
    pub(crate) fn why_none(&self, case: &Case) -> String {
        if let Some(why) = self.stopped() {
            return why;
        }
        match (&case.monitor, self.problem, self.monitored) {
            (None, ..) => "the host was told not to look at the kernel (monitor)".into(),
            (_, Some(problem), _) => format!("the kernel could not be looked at: {problem}"),
            (.., false) => "the host did not look at the kernel".into(),
            _ => "no sample was taken in a hold".into(),
        }
    }

    /// What a check comes to that has no sample.
    pub(crate) fn nothing(&self, case: &Case) -> NoData {
        let why = self.why_none(case);
        if case.monitor.is_some() && self.problem.is_some() && !self.monitored {
            NoData::Lacking(why)
        } else {
            NoData::Unseen(why)
        }
    }

    /// Whether the kernel lacks something that is known by this word.
    pub(crate) fn is_absent(&self, what: &str) -> bool {
        self.absent.iter().any(|absent| absent.starts_with(what))
    }

    /// What a check comes to that needs something of the kernel that no sample has.
    pub(crate) fn lacks(&self, what: &str) -> NoData {
        let said = self.absent.iter().find(|absent| absent.starts_with(what));
        let why = said.map(|absent| format!(" ({absent})")).unwrap_or_default();
        NoData::Lacking(format!("this kernel shows no {what}{why}"))
    }
}

/// When each step was, without samples.
fn windows<'a>(recording: &Recording) -> Vec<StepSamples<'a>> {
    let steps: Vec<usize> = recording.header.case.plan.segments().map(|(step, _, _)| step).collect();
    let mut open = None;
    let mut windows: BTreeMap<usize, Vec<(GuestNanos, GuestNanos)>> = BTreeMap::new();
    for event in recording.events() {
        match &event.what {
            What::SegmentStarted { segment } => {
                let Some(step) = steps.get(*segment as usize) else { continue };
                windows.entry(*step).or_default().push((event.at, NO_END));
                open = Some(*step);
            }
            What::SegmentEnded { segment } => {
                open = None;
                let holds = steps.get(*segment as usize).and_then(|step| windows.get_mut(step));
                holds.and_then(|holds| holds.last_mut()).into_iter().for_each(|(_, end)| *end = event.at);
            }
            What::BrokenOff | What::Finished | What::Failed(_) => {
                let open = windows.values_mut().flatten().filter(|(_, end)| *end == NO_END);
                open.for_each(|(_, end)| *end = event.at);
            }
            _ => {}
        }
    }
    let step = |(step, holds): (usize, Vec<(GuestNanos, GuestNanos)>)| {
        let start = holds.first()?.0;
        let has_ended = open != Some(step);
        Some(StepSamples { step: step as u32, start, holds, has_ended, samples: Vec::new() })
    };
    let mut all: Vec<StepSamples<'a>> = windows.into_iter().filter_map(step).collect();
    all.sort_by_key(|step| step.start);
    all
}
