//! Reports: the run emits [`RunEvent`]s, reporters only consume them.
//!
//! `console` prints for people, `progress` shows what is going on to a terminal, `terminal` keeps these two apart, `junit`, `json` and `bep` write the files
//! that Bazel and CI systems read; `html` is the page for people; `replay` is what a comparison with a recording reads like. Everything a reporter says about a case stands in its [`CaseReport`].

mod bep;
mod console;
mod html;
mod json;
mod junit;
mod progress;
mod replay;
mod terminal;

use ktstr_model::{Case, Finding, Verdict};
use ktstr_recording::CpuSteal;
use ktstr_timeline::Page;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub(crate) use console::Console;
pub(crate) use html::add as add_to_page;
pub(crate) use replay::{ending, Replayed};
pub(crate) use terminal::Terminal;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report {}", path.display())]
pub(crate) struct ReportError {
    path: PathBuf,
    source: std::io::Error,
}

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The machine is being started.
    Starting,
    /// The kernel boots.
    Booting,
    /// The scenario runs: this step of so many.
    Running { step: u32, steps: u32 },
    /// The recording is judged.
    Judging,
}

/// What happens while a target runs.
#[derive(Debug)]
pub(crate) enum RunEvent<'a> {
    /// The cases that this process will run, in order, and how many the target has.
    Planned { target: &'a str, selected: &'a [Case], planned: usize },
    /// A case begins.
    CaseStarted { case: &'a Case },
    /// A case has come to another stage.
    CaseStage { stage: Stage },
    /// A case has ended.
    CaseFinished { report: &'a CaseReport },
    /// Something that the reader should know and that fails nothing.
    Warning { text: &'a str },
    /// Everything has ended.
    Finished { report: &'a TargetReport },
    /// A case was run again and compared with its recording.
    Replayed { replayed: &'a Replayed },
    /// All replays that were asked for have ended: so many of them are equal.
    AllReplayed { equal: u32, times: u32 },
}

/// Consumes what happens.
pub(crate) trait Reporter {
    /// Called for each event, in order.
    fn report(&mut self, event: &RunEvent<'_>);
}

/// Host time that the parts of a case took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Timings {
    /// From the decision to run the case to the start of the guest's first instruction.
    pub(crate) prepare: f64,
    /// From there to the first step of the scenario.
    pub(crate) boot: f64,
    /// From there to the end of the guest.
    pub(crate) run: f64,
    /// From there to the verdict.
    pub(crate) judge: f64,
}

impl Timings {
    pub(crate) fn total(&self) -> f64 {
        self.prepare + self.boot + self.run + self.judge
    }
}

/// Everything that is said about a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CaseReport {
    pub(crate) name: String,
    /// SHA-256 over everything that the case is a function of.
    pub(crate) key: String,
    pub(crate) topology: String,
    /// Name of its flag profile, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<String>,
    pub(crate) backend: String,
    /// Version of the back end; empty if it did not start.
    pub(crate) backend_version: String,
    pub(crate) clock: String,
    pub(crate) start: String,
    pub(crate) seed: u64,
    /// As the guest said; empty if it did not come so far.
    pub(crate) kernel: String,
    pub(crate) verdict: Verdict,
    pub(crate) findings: Vec<Finding>,
    /// What the reader should know of the bounds, and what fails nothing.
    pub(crate) warnings: Vec<String>,
    pub(crate) timings: Timings,
    /// How the machine ended, in words; none: it did not run, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ending: Option<String>,
    /// What the host took from each CPU; empty under the virtual clock, and if it is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) host_steal: Vec<CpuSteal>,
    /// File name of the recording, if one was kept.
    pub(crate) recording: Option<String>,
    /// How many events the guest reported.
    pub(crate) guest_events: usize,
    /// The rolling hash over these, in the bytes that are recorded; empty without a recording.
    pub(crate) guest_sha256: String,
    /// Last lines of the console; only for a case that is not green.
    pub(crate) console: Vec<String>,
    /// The command that runs this case again.
    pub(crate) rerun: String,
    /// The command that replays the recording, if there is one that can be named.
    pub(crate) replay: Option<String>,
}

impl CaseReport {
    /// The findings that make the case red, the worst first.
    pub(crate) fn red_findings(&self) -> Vec<&Finding> {
        let mut red: Vec<&Finding> = self.findings.iter().filter(|finding| finding.verdict.is_red()).collect();
        red.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        red
    }
}

/// Everything that is said about a target, or the part of it that this shard ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetReport {
    /// Version of this format.
    pub(crate) version: u32,
    pub(crate) target: String,
    pub(crate) shard: u32,
    pub(crate) shards: u32,
    pub(crate) verdict: Verdict,
    pub(crate) cases: Vec<CaseReport>,
    pub(crate) warnings: Vec<String>,
}

/// Version of `report.json`.
pub(crate) const REPORT_VERSION: u32 = 1;

/// Files that a run leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReportFiles {
    /// JUnit.
    pub(crate) xml: Option<PathBuf>,
    /// Directory for `report.json`, `build_events.json` and `report.html`; that of the recordings.
    pub(crate) directory: Option<PathBuf>,
}

impl ReportFiles {
    /// Puts a case that has ended on the page, if there is to be one.
    pub(crate) fn add(&self, report: &CaseReport, page: &mut Page) {
        if let Some(directory) = &self.directory {
            html::add_from(page, report, directory);
        }
    }

    /// Writes all files.
    ///
    /// # Errors
    /// The first file that could not be written; later ones are tried all the same.
    pub(crate) fn write(&self, report: &TargetReport, page: &Page) -> Result<(), ReportError> {
        let mut result = Ok(());
        let mut put = |path: &Path, bytes: Vec<u8>| {
            if let Err(source) = replace(path, &bytes) {
                result = Err(ReportError { path: path.to_owned(), source });
            }
        };
        if let Some(path) = &self.xml {
            put(path, junit::render(report));
        }
        if let Some(directory) = &self.directory {
            put(&directory.join("report.json"), json::render(report));
            put(&directory.join("build_events.json"), bep::render(report));
            put(&directory.join("report.html"), page.render(&report.target));
        }
        result
    }
}

/// Writes a file beside and moves it into place: whoever is killed in between leaves the old one whole.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ktstr_model::verdict::Place;
    use ktstr_model::{Cause, GuestNanos, Origin, Phase};

    pub(super) fn finding(verdict: Verdict, cause: Cause, check: Option<&str>, measured: &str, bound: &str) -> Finding {
        Finding {
            verdict,
            cause,
            phase: Phase::Run,
            check: check.map(Into::into),
            measured: measured.into(),
            bound: bound.into(),
            origin: check.map(|_| Origin::Test),
            place: Place::default(),
            explanation: String::new(),
        }
    }

    pub(super) fn case(name: &str, findings: Vec<Finding>) -> CaseReport {
        let verdict = ktstr_model::verdict::join(&findings);
        CaseReport {
            name: name.into(),
            key: "ab".repeat(32),
            topology: "1n1l2c1t".into(),
            profile: None,
            backend: "tcg".into(),
            backend_version: "QEMU 10.0".into(),
            clock: "virtual".into(),
            start: "boot".into(),
            seed: 0,
            kernel: "7.3.4".into(),
            verdict,
            findings,
            warnings: Vec::new(),
            host_steal: Vec::new(),
            ending: None,
            timings: Timings { prepare: 0.05, boot: 2.0, run: 1.0, judge: 0.0 },
            recording: Some("t-1n1l2c1t-s0.ktstr".into()),
            guest_events: 27,
            guest_sha256: "cd".repeat(32),
            console: if verdict.is_red() { vec!["[    1.5] last words".into()] } else { Vec::new() },
            rerun: format!("bazel test //x:t --test_filter='{name}'"),
            replay: Some(
                "cp bazel-testlogs/x/t/test.outputs/t-1n1l2c1t-s0.ktstr . && \
                 bazel run //x:t -- --replay=t-1n1l2c1t-s0.ktstr"
                    .into(),
            ),
        }
    }

    /// One case of each verdict.
    pub(super) fn target() -> TargetReport {
        let mut gap = finding(Verdict::Fail, Cause::Check, Some("max_gap"), "gap of 812.3ms", "at most 500ms");
        gap.place = Place {
            worker: Some("cpu_spin/3".into()),
            cgroup: Some("a".into()),
            cpu: Some(2),
            step: Some(1),
            at: Some(GuestNanos(3_214_000_000)),
        };
        gap.explanation = "the worker was runnable and did not run".into();
        let spread = finding(Verdict::Pass, Cause::Check, Some("max_spread"), "spread of 2.1%", "at most 15%");
        let unknown = finding(
            Verdict::Unknown,
            Cause::NothingToJudge,
            Some("max_wakeup_latency"),
            "nothing blocks",
            "p99 at most 1ms",
        );
        let emulator = finding(Verdict::Infrastructure, Cause::Emulator, None, "the emulator ended with status 1", "");
        let skipped = finding(Verdict::Skipped, Cause::Interrupted, None, "not run after the first failure", "");
        let cases = vec![
            case("t[1n1l2c1t][s0]", vec![spread.clone()]),
            case("t[1n1l2c1t][s1]", vec![spread, gap]),
            case("t[1n1l2c1t][s2]", vec![unknown]),
            case("t[1n1l2c1t][s3]", vec![emulator]),
            case("t[1n1l2c1t][s4]", vec![skipped]),
        ];
        let verdict = cases.iter().map(|case| case.verdict).max().expect("cases");
        TargetReport {
            version: REPORT_VERSION,
            target: "//x:t".into(),
            shard: 0,
            shards: 1,
            verdict,
            cases,
            warnings: vec![],
        }
    }

    #[test]
    fn a_full_disk_is_reported_with_the_path() {
        let directory = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink("/dev/full", directory.path().join("test.xml.part")).expect("links");
        let files = ReportFiles { xml: Some(directory.path().join("test.xml")), directory: None };
        let error = files.write(&target(), &Page::default()).expect_err("full");
        assert_eq!(error.to_string(), format!("cannot write the report {}/test.xml", directory.path().display()));
        assert!(!directory.path().join("test.xml").exists());
    }
}
