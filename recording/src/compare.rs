//! Compares two recordings of one case: `Recording, Recording ──compare──▶ Comparison`. Pure.
//!
//! Compared is what the guest said, in the bytes in which it is stored; what it wrote to its console; and how the machine came
//! to its end, as far as that is the guest's doing. Nothing of what the host measured is.
//!
//! So are samples of the guest's kernel, if both were taken alike under the virtual clock, up to where the shorter one's end.
//!
//! The console has no hash of its own and is compared up to where the shorter one ends: a guest runs on for some thousand
//! instructions after it has asked for its end, and one that hangs until the host gives it up, and may print meanwhile.

use crate::fields::{differing_fields, differing_values, FieldDifference};
use crate::hash::Sha256Sum;
use crate::host::{Ending, HostEvent};
use crate::reader::{Entry, Recording};
use ktstr_model::case::Input;
use ktstr_model::{Case, Clock, Event, GuestNanos, StartMode};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What comes of a comparison. Indices of events count from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// The guests were told different things, so that nothing follows from what they said.
    OtherCase(Vec<FieldDifference>),
    /// Both guests said and wrote the same from beginning to end, and ended in the same way.
    Equal {
        /// Number of events.
        events: usize,
        /// Hash of both.
        sha256: Sha256Sum,
        /// Bytes of the console that both have.
        console: usize,
        /// Samples of the guest's kernel that both have.
        samples: usize,
    },
    /// They differ in an event.
    Event(Box<EventDifference>),
    /// They differ in an event before which messages of one of them were lost: nobody knows what its guest said there.
    Gap(Box<Gap>),
    /// They said the same, as far as both go, and wrote other things to the console.
    Console(Box<ConsoleDifference>),
    /// They said and wrote the same, as far as both go, and their kernels were not the same at one time.
    Sample(Box<SampleDifference>),
    /// They said the same, and ended in different ways.
    Ending {
        /// Number of events.
        events: usize,
        /// End of the first.
        first: Ending,
        /// End of the second.
        second: Ending,
    },
    /// One of them goes on where the other has ended.
    Prefix(Box<Prefix>),
    /// Neither guest said or wrote anything: there is nothing to compare.
    Nothing,
}

/// The events that both begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// How many.
    pub events: usize,
    /// Their hash.
    pub sha256: Sha256Sum,
    /// The last of them.
    pub last: Option<Event>,
}

/// The first event that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDifference {
    /// What comes before it.
    pub common: Common,
    /// What the first guest said.
    pub first: Event,
    /// What the second guest said.
    pub second: Event,
}

impl EventDifference {
    /// In which fields they differ.
    pub fn fields(&self) -> Vec<FieldDifference> {
        differing_fields(&self.first, &self.second)
    }
}

/// Events that are not those that follow each other, because of what was lost before them.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// Which one lost messages.
    pub side: Side,
    /// What the host noticed of it.
    pub why: String,
    /// What came next on both sides.
    pub next: EventDifference,
}

/// The first byte of the console that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleDifference {
    /// Events that both have.
    pub events: usize,
    /// Where the byte is.
    pub offset: usize,
    /// The line around it that the first guest wrote.
    pub first: String,
    /// The line around it that the second guest wrote.
    pub second: String,
}

/// The first sample that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleDifference {
    /// Events that both have.
    pub events: usize,
    /// Samples that are equal before it.
    pub samples: usize,
    /// When it was taken on the first side.
    pub at: GuestNanos,
    /// In which fields they differ; `at` is its time.
    pub fields: Vec<FieldDifference>,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    First,
    /// The second.
    Second,
}

/// All events of one recording, with which the other one begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefix {
    /// Which one ends first.
    pub shorter: Side,
    /// All of its events.
    pub common: Common,
    /// Events that only the longer one has.
    pub more: usize,
    /// The first of them.
    pub next: Option<Event>,
    /// Why the shorter one may lack some; none: it is whole, so its guest said no more.
    pub incomplete: Option<String>,
}

/// An input with another content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDifference {
    /// Which: `kernel`.
    pub name: String,
    /// SHA-256 on the first side; none: that side has no such input.
    pub first: Option<String>,
    /// SHA-256 on the second side.
    pub second: Option<String>,
}

/// Compares what two guests said and wrote.
pub fn compare(first: &Recording, second: &Recording) -> Comparison {
    let fields = differing_cases(&first.header.case, &second.header.case);
    if !fields.is_empty() {
        return Comparison::OtherCase(fields);
    }
    let (ours, theirs) = (first.console(), second.console());
    let common = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let by_events = by_events(first, second, common);
    // An event has a time of its own and says more than a line.
    let events = match &by_events {
        Comparison::Equal { events, .. } => *events,
        Comparison::Prefix(prefix) if prefix.incomplete.is_some() => prefix.common.events,
        Comparison::Gap(gap) => gap.next.common.events,
        _ => return by_events,
    };
    if common == ours.len().min(theirs.len()) {
        return match (by_samples(first, second, events), by_events) {
            (Err(difference), _) => Comparison::Sample(Box::new(difference)),
            (Ok(samples), Comparison::Equal { events, sha256, console, .. }) => {
                Comparison::Equal { events, sha256, console, samples }
            }
            (Ok(_), other) => other,
        };
    }
    let (first, second) = (line_around(&ours, common), line_around(&theirs, common));
    Comparison::Console(Box::new(ConsoleDifference { events, offset: common, first, second }))
}

/// How many samples both have, or the first one that is not the same.
fn by_samples(first: &Recording, second: &Recording, events: usize) -> Result<usize, SampleDifference> {
    let (ours, theirs) = (&first.header.case, &second.header.case);
    // Under the real clock the host chooses their times.
    if ours.clock == Clock::Real || ours.monitor != theirs.monitor {
        return Ok(0);
    }
    let mut samples = 0;
    for ((at, our), (then, their)) in first.samples().zip(second.samples()) {
        if (at, our) != (then, their) {
            let time =
                differing_fields(&at, &then).into_iter().map(|field| FieldDifference { path: "at".into(), ..field });
            let fields = time.chain(differing_fields(our, their)).collect();
            return Err(SampleDifference { events, samples, at, fields });
        }
        samples += 1;
    }
    Ok(samples)
}

/// The line of which the byte at `offset` is a part.
fn line_around(console: &[u8], offset: usize) -> String {
    let (before, after) = console.split_at_checked(offset).unwrap_or((console, &[]));
    let before = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let after = after.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&[before, after].concat()).trim_end().to_owned()
}

/// As far as events and endings tell; `console` bytes of the console are equal.
fn by_events(first: &Recording, second: &Recording, console: usize) -> Comparison {
    let (ours, theirs): (Vec<&Event>, Vec<&Event>) = (first.events().collect(), second.events().collect());
    let common = common(first, second, &ours, &theirs);
    let (first_end, second_end) = (first.incomplete(), second.incomplete());
    match (ours.get(common.events), theirs.get(common.events)) {
        (Some(our), Some(their)) => {
            let lost = [(Side::Second, second), (Side::First, first)];
            let lost = lost.into_iter().find_map(|(side, of)| Some((side, of.lost_before(common.events)?)));
            let next = EventDifference { common, first: (*our).clone(), second: (*their).clone() };
            match lost {
                Some((side, why)) => Comparison::Gap(Box::new(Gap { side, why, next })),
                None => Comparison::Event(Box::new(next)),
            }
        }
        (None, Some(_)) => prefix(Side::First, common, &theirs, first_end),
        (Some(_), None) => prefix(Side::Second, common, &ours, second_end),
        // The same events so far; one that was cut off may have had more.
        (None, None) if second_end.is_some() => prefix(Side::Second, common, &ours, second_end),
        (None, None) if first_end.is_some() => prefix(Side::First, common, &theirs, first_end),
        (None, None) => match (first.ending(), second.ending()) {
            (Some(first), Some(second)) if !same_end(first, second) => {
                Comparison::Ending { events: common.events, first: first.clone(), second: second.clone() }
            }
            _ if common.events == 0 && console == 0 => Comparison::Nothing,
            _ => Comparison::Equal { events: common.events, sha256: common.sha256, console, samples: 0 },
        },
    }
}

fn common(first: &Recording, second: &Recording, ours: &[&Event], theirs: &[&Event]) -> Common {
    let counts: Vec<usize> = (1..=ours.len().min(theirs.len())).collect();
    // Equal hashes are equal prefixes: once they differ they differ to the end.
    let events = counts.partition_point(|n| first.guest_sha256_after(*n) == second.guest_sha256_after(*n));
    let sha256 = first.guest_sha256_after(events).unwrap_or_else(|| first.guest_sha256());
    let last = events.checked_sub(1).and_then(|last| ours.get(last)).map(|event| (*event).clone());
    Common { events, sha256, last }
}

fn prefix(shorter: Side, common: Common, longer: &[&Event], incomplete: Option<String>) -> Comparison {
    let next = longer.get(common.events).map(|event| (*event).clone());
    let more = longer.len() - common.events;
    Comparison::Prefix(Box::new(Prefix { shorter, common, more, next, incomplete }))
}

/// Which inputs have other contents, by name.
pub fn differing_inputs(first: &[Input], second: &[Input]) -> Vec<InputDifference> {
    let by_name = |inputs: &[Input]| -> BTreeMap<String, String> {
        inputs.iter().map(|input| (input.name.clone(), input.sha256.clone())).collect()
    };
    let (first, second) = (by_name(first), by_name(second));
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let differing = names.into_iter().filter(|name| first.get(*name) != second.get(*name));
    let difference = |name: &String| InputDifference {
        name: name.clone(),
        first: first.get(name).cloned(),
        second: second.get(name).cloned(),
    };
    differing.map(difference).collect()
}

/// In which fields the guests of two cases were given something else. Names and bounds are not for guests, nor is what looks at them, which
/// takes a kernel that only those have as an input that boot.
fn differing_cases(first: &Case, second: &Case) -> Vec<FieldDifference> {
    let for_the_guest = |case: &Case| {
        let mut json = serde_json::to_value(case).unwrap_or_default();
        if let Value::Object(fields) = &mut json {
            // Where the host does something, the guest sees when it looks.
            let monitor = case.host_ops.is_empty().then_some("monitor");
            ["name", "checks", "inputs"].iter().chain(&monitor).for_each(|name| drop(fields.remove(*name)));
        }
        json
    };
    let fields = differing_values(&for_the_guest(first), &for_the_guest(second));
    let only_to_look = |input: &InputDifference| {
        input.name == "kernel" && first.start != StartMode::Boot && (input.first.is_none() || input.second.is_none())
    };
    let inputs = differing_inputs(&first.inputs, &second.inputs).into_iter().filter(|input| !only_to_look(input));
    let inputs = inputs.map(|input| FieldDifference {
        path: format!("inputs.{}", input.name),
        first: input.first,
        second: input.second,
    });
    fields.into_iter().chain(inputs).collect()
}

/// Whether two guests ended in the same way. When the host gave one up, and what its CPUs did then, is not the guest's doing.
fn same_end(first: &Ending, second: &Ending) -> bool {
    match (first, second) {
        (Ending::Hang { .. }, Ending::Hang { .. }) | (Ending::BootTimeout { .. }, Ending::BootTimeout { .. }) => true,
        (first, second) => first == second,
    }
}

impl Recording {
    /// Why not everything that the guest said may be in here; none: the machine came to its own end, and all of it was
    /// recorded.
    pub fn incomplete(&self) -> Option<String> {
        if let Some(damage) = &self.damage {
            return Some(damage.to_string());
        }
        let lost = self.host_events().find_map(|(_, event)| match event {
            HostEvent::HostFailed { doing, problem } => Some(format!("the host could not {doing}: {problem}")),
            HostEvent::ChannelProblem { problem, .. } => Some(lost_messages(problem)),
            HostEvent::Ended(Ending::Interrupted { reason }) => Some(format!("it was interrupted: {reason}")),
            HostEvent::Ended(Ending::EmulatorFailed { status, .. }) => Some(format!("the emulator failed: {status}")),
            HostEvent::Ended(_)
            | HostEvent::MachineStarted { .. }
            | HostEvent::GuestStarted
            | HostEvent::ScenarioStarted
            | HostEvent::Steal(_)
            | HostEvent::Monitored { .. }
            | HostEvent::Unmonitored { .. }
            | HostEvent::Dump(_)
            | HostEvent::SeriesUnreadable { .. }
            | HostEvent::Op { .. } => None,
        });
        lost.or_else(|| self.ending().is_none().then(|| "it does not say how the machine ended".into()))
    }

    /// What was lost of the guest's messages before its event `number`, from 0. The host takes note of it right after the
    /// events that it still could read.
    fn lost_before(&self, number: usize) -> Option<String> {
        let mut events = 0;
        let mut before = self.entries.iter().take_while(|entry| {
            events += usize::from(matches!(entry, Entry::Guest(_)));
            events <= number
        });
        before.find_map(|entry| match entry {
            Entry::Host(_, HostEvent::ChannelProblem { problem, .. }) => Some(lost_messages(problem)),
            _ => None,
        })
    }
}

fn lost_messages(problem: &str) -> String {
    format!("messages of the guest were lost: {problem}")
}
