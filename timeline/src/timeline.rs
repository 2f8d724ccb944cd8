//! The timeline of a case: `Recording ──of──▶ Timeline`. All times are guest time in nanoseconds, as the findings have them.

use crate::{charts, lanes, marks};
use ktstr_model::What;
use ktstr_recording::{HostEvent, Recording};
use serde::Serialize;

/// What happened in a case, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// Its beginning.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// Where the lanes come from.
    pub seen: Seen,
    /// What ran; the first is idleness.
    pub tasks: Vec<Task>,
    /// One for each CPU of the machine, in ascending order; none if nothing was seen.
    pub lanes: Vec<Lane>,
    /// Numbers over time.
    pub charts: Vec<Chart>,
    /// Steps, operations, and what else happened at one time.
    pub marks: Vec<Mark>,
    /// What is missing, and what is not as it seems, one a line.
    pub notes: Vec<String>,
}

/// Where lanes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Each context switch.
    Switches,
    /// Looks at the kernel from time to time: what ran in between is not known.
    Samples,
    /// Nothing.
    Nothing,
}

/// A task that ran.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Task {
    /// Process id; none: of a worker, of which only the number in the plan is known.
    pub pid: Option<i64>,
    /// Its name.
    pub name: String,
    /// Whether it is a worker of the test.
    pub worker: bool,
}

/// A CPU.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lane {
    /// Its number.
    pub cpu: u32,
    /// What ran, each until the next.
    pub runs: Vec<Run>,
    /// How many tasks waited for it, each number from its time until the next.
    pub waiting: Vec<(u64, u32)>,
}

/// What a CPU ran from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Since when.
    pub at: u64,
    /// Index of the task; none: nothing is known of the CPU.
    pub task: Option<u32>,
    /// How many runs this stands for; more than one after thinning: the task is then that which ran longest.
    pub runs: u32,
}

/// A number over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it is of.
    pub name: String,
    /// Unit, with its space before it; empty for counts.
    pub unit: &'static str,
    /// Values at their times; none: there was none.
    pub points: Vec<(u64, Option<f64>)>,
}

/// Something at one time, or that lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When.
    pub at: u64,
    /// Until when, if it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Of what kind.
    pub kind: MarkKind,
    /// In words.
    pub text: String,
}

/// Kinds of marks, in the order in which they stand at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A step of the scenario.
    Step,
    /// What the guest was told to do between two holds.
    Op,
    /// Workers run and are counted.
    Hold,
    /// About the scheduler under test.
    Scheduler,
    /// What should not be.
    Problem,
}

impl Timeline {
    /// Of a recording.
    pub fn of(recording: &Recording) -> Self {
        let (start, end) = extent(recording);
        let mut timeline = Self {
            start,
            end,
            seen: Seen::Nothing,
            tasks: vec![Task { pid: Some(0), name: "idle".into(), worker: false }],
            lanes: Vec::new(),
            charts: charts::of(recording),
            marks: marks::of(recording, end),
            notes: notes(recording),
        };
        lanes::fill(&mut timeline, recording);
        timeline
    }
}

/// From the first thing that is about the scenario to the last; the boot is not shown.
fn extent(recording: &Recording) -> (u64, u64) {
    let (mut start, mut end) = (u64::MAX, 0);
    let mut take = |at: u64| (start, end) = (start.min(at), end.max(at));
    for event in recording.events() {
        match &event.what {
            What::Booted(_) => {}
            // They are sent when all is over.
            What::Switches(part) => part.switches.iter().for_each(|switch| take(switch.at.0)),
            _ => take(event.at.0),
        }
    }
    recording.samples().for_each(|(at, _)| take(at.0));
    let start = start.min(end);
    // Something is divided by its length.
    (start, end.max(start.saturating_add(1)))
}

/// What is missing of a recording.
fn notes(recording: &Recording) -> Vec<String> {
    let mut notes = Vec::new();
    if !recording.header.case.plan.trace.is_empty() {
        notes.extend(ktstr_judge::missing_switches(recording));
    } else if let Some(damage) = &recording.damage {
        notes.push(damage.to_string());
    }
    let samples = recording.samples().count();
    for (_, event) in recording.host_events() {
        match event {
            HostEvent::Unmonitored { problem } if samples == 0 => notes.push(format!("no samples: {problem}")),
            HostEvent::Unmonitored { problem } => notes.push(format!("no more samples: {problem}")),
            HostEvent::Monitored { absent, .. } => {
                notes.extend(absent.iter().map(|absent| format!("this kernel lacks {absent}")));
            }
            _ => {}
        }
    }
    if samples == 0 && notes.iter().all(|note| !note.starts_with("no samples")) {
        let why = match recording.header.case.monitor {
            Some(_) => "the machine ended before the first one",
            None => "the case asks for none (`monitor`)",
        };
        notes.push(format!("no samples: {why}"));
    }
    let torn: u64 = recording.samples().map(|(_, sample)| u64::from(sample.torn)).sum();
    if torn > 0 {
        notes.push(format!("{torn} things changed while they were read, or could not be, and are left out"));
    }
    notes
}
