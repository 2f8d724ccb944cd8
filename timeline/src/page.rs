//! `report.html`: one file for all cases of a target, which needs no other one and no network.
//!
//! ```text
//! report of a case, Timeline ──add──▶ a JSON text for each case ──render──▶ the page
//! ```
//!
//! The texts stand in the page as data, which its script reads when a case is opened. Whatever a guest called itself is in there: it cannot end the
//! element that it stands in, since no text has a `<`; the script puts it into the page as text only; and the page's policy runs no script but its own.

use crate::thin::thinned;
use crate::timeline::{Mark, Seen, Task, Timeline};
use base64::prelude::{Engine, BASE64_STANDARD};
use ktstr_model::Verdict;
use ktstr_recording::Recording;
use serde::Serialize;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str =
    concat!(include_str!("page/timeline.js"), include_str!("page/draw.js"), include_str!("page/page.js"));

/// Green cases that have a timeline.
const GREEN_TIMELINES: usize = 10;
/// Bytes of timelines of green cases, and of all.
const GREEN_BYTES: usize = 8 << 20;
const ALL_BYTES: usize = 32 << 20;
/// Runs and numbers of waiting tasks of one timeline, some 10 bytes each.
const ENTRIES_MAX: usize = 250_000;

/// A page that grows with its target.
#[derive(Debug, Default)]
pub struct Page {
    heads: Vec<Head>,
    cases: Vec<String>,
    greens: usize,
    bytes: usize,
}

/// What the matrix of cases has of one.
#[derive(Debug, Clone, Serialize)]
pub struct Head {
    /// Name of the case.
    pub name: String,
    /// Label of its topology.
    pub topology: String,
    /// Name of its flag profile; empty if it has none.
    pub profile: String,
    /// Its seed.
    pub seed: u64,
    /// Its verdict.
    pub verdict: Verdict,
}

/// A case as the script reads it.
#[derive(Serialize)]
struct CaseJson<'a, R> {
    report: &'a R,
    #[serde(flatten)]
    timeline: TimelineJson,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum TimelineJson {
    Timeline(Box<Shown>),
    /// Why there is none.
    NoTimeline(String),
}

#[derive(Serialize)]
struct Shown {
    start: u64,
    end: u64,
    seen: Seen,
    tasks: Vec<Task>,
    /// CPUs of an LLC and LLCs of a node, by which lanes are grouped.
    cpus_per_llc: u32,
    llcs_per_node: u32,
    lanes: Vec<LaneJson>,
    charts: Vec<ChartJson>,
    marks: Vec<Mark>,
    notes: Vec<String>,
}

/// Times are differences to the one before, the first to the beginning of the timeline.
#[derive(Serialize)]
struct LaneJson {
    cpu: u32,
    /// Time, index of the task or -1, time, index, …
    runs: Vec<i64>,
    /// How many runs each stands for, if any stands for more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    merged: Vec<u32>,
    /// Time, number, time, number, …
    waiting: Vec<u64>,
}

#[derive(Serialize)]
struct ChartJson {
    name: String,
    unit: &'static str,
    times: Vec<u64>,
    values: Vec<Option<f64>>,
}

impl Page {
    /// Adds a case: what is to be said of it, and its recording, or why there is none.
    pub fn add(&mut self, head: Head, report: &impl Serialize, recording: Result<&Recording, String>) {
        let timeline = match recording.and_then(|recording| self.room(head.verdict).map(|()| recording)) {
            Ok(recording) => TimelineJson::Timeline(Box::new(Shown::of(recording))),
            Err(why) => TimelineJson::NoTimeline(why),
        };
        let has_timeline = matches!(timeline, TimelineJson::Timeline(_));
        // Plain data with string keys; a number that is not finite becomes null.
        let json = serde_json::to_string(&CaseJson { report, timeline }).unwrap_or_default().replace('<', "\\u003c");
        if has_timeline {
            self.bytes += json.len();
            self.greens += usize::from(!head.verdict.is_red());
        }
        self.heads.push(head);
        self.cases.push(json);
    }

    /// Whether there is room for a timeline; if not, why.
    fn room(&self, verdict: Verdict) -> Result<(), String> {
        let again = "`ktstr report FILE --html PAGE` makes a page of one recording";
        if self.bytes >= ALL_BYTES {
            return Err(format!("this page has {} MiB of timelines already; {again}", self.bytes >> 20));
        }
        if !verdict.is_red() && (self.greens >= GREEN_TIMELINES || self.bytes >= GREEN_BYTES) {
            return Err(format!("of the green cases only the first {} have one here; {again}", self.greens));
        }
        Ok(())
    }

    /// The whole page.
    pub fn render(&self, title: &str) -> Vec<u8> {
        let heads = serde_json::json!({ "title": title, "cases": self.heads }).to_string().replace('<', "\\u003c");
        let data = self.cases.iter().enumerate();
        let data = data
            .map(|(index, json)| format!("<script type=\"application/json\" id=\"case-{index}\">{json}</script>\n"));
        let policy =
            format!("default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'", sum(SCRIPT), sum(STYLE));
        let page = [
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n",
            &format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n<title>ktstr</title>\n"),
            "<style>",
            STYLE,
            "</style></head>\n<body><noscript>This page draws its data by a script of its own: it needs JavaScript, and no network.</noscript>\n",
            "<script type=\"application/json\" id=\"cases\">",
            &heads,
            "</script>\n",
            &data.collect::<String>(),
            "<script>",
            SCRIPT,
            "</script></body></html>\n",
        ];
        page.concat().into_bytes()
    }
}

impl Shown {
    fn of(recording: &Recording) -> Self {
        let topology = &recording.header.case.topology;
        let timeline = thinned(Timeline::of(recording), ENTRIES_MAX);
        let start = timeline.start;
        let lanes = timeline.lanes.into_iter().map(|lane| {
            let (at, tasks) =
                lane.runs.iter().map(|run| (run.at, run.task.map_or(-1, i64::from))).unzip::<_, _, Vec<_>, Vec<_>>();
            let (waited, numbers) = lane.waiting.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
            let merged: Vec<u32> = lane.runs.iter().map(|run| run.runs).collect();
            LaneJson {
                cpu: lane.cpu,
                runs: steps(start, at).zip(tasks).flat_map(|(step, task)| [step as i64, task]).collect(),
                merged: if merged.iter().all(|runs| *runs == 1) { Vec::new() } else { merged },
                waiting: steps(start, waited).zip(numbers).flat_map(|(step, number)| [step, number.into()]).collect(),
            }
        });
        let charts = timeline.charts.into_iter().map(|chart| {
            let (at, values) = chart.points.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
            ChartJson { name: chart.name, unit: chart.unit, times: steps(start, at).collect(), values }
        });
        Self {
            start,
            end: timeline.end,
            seen: timeline.seen,
            cpus_per_llc: topology.cpus_per_llc(),
            llcs_per_node: topology.llcs_per_node(),
            lanes: lanes.collect(),
            charts: charts.collect(),
            tasks: timeline.tasks,
            marks: timeline.marks,
            notes: timeline.notes,
        }
    }
}

/// Differences of times; one that goes back, as only a lying guest has it, stands.
fn steps(start: u64, times: Vec<u64>) -> impl Iterator<Item = u64> {
    let mut before = start;
    times.into_iter().map(move |at| {
        let step = at.saturating_sub(before);
        before += step;
        step
    })
}

/// SHA-256 in base64, as policies of pages want it.
fn sum(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text))
}
