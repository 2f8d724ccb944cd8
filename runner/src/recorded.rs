//! What a recording comes to, whether it has just been written or is years old: `Recording ──judge──▶ Outcome`, and the
//! commands that start from a file.

use crate::cli::{JudgeArgs, ReportArgs};
use crate::report::{add_to_page, ending, CaseReport, Console, Reporter, RunEvent, Timings};
use crate::run::Outcome;
use ktstr_judge::{judge, overlay, parse_checks};
use ktstr_model::event::What;
use ktstr_model::{Check, Verdict};
use ktstr_recording::{HostEvent, HostNanos, Recording};
use ktstr_timeline::Page;
use std::error::Error;
use std::io::Write;
use std::path::Path;

/// Lines of the console that are shown.
const CONSOLE_LINES: usize = 20;

/// Judges a recording by `checks`.
pub(crate) fn outcome(recording: &Recording, checks: &[Check]) -> Outcome {
    let judgement = judge(recording, checks);
    Outcome {
        findings: judgement.findings,
        warnings: judgement.warnings,
        timings: timings(recording),
        ending: recording.ending().map(ending),
        host_steal: recording.steal().to_vec(),
        backend_version: backend_version(recording),
        kernel: kernel(recording),
        recording: None,
        guest_events: recording.events().count(),
        guest_sha256: recording.guest_sha256().to_string(),
        console: last_lines(&recording.console()),
    }
}

/// `ktstr judge`.
///
/// # Errors
/// A file that is no recording, a check that is none.
pub(crate) fn judge_file(args: &JudgeArgs) -> Result<Verdict, Box<dyn Error>> {
    let recording = Recording::read(&args.recording)?;
    let checks = overlay(&recording.header.case.checks, &parse_checks(&args.checks)?);
    let report = report(&recording, &checks, &args.recording);
    print(&report);
    Ok(report.verdict)
}

/// `ktstr report`.
///
/// # Errors
/// A file that is no recording.
pub(crate) fn report_files(args: &ReportArgs) -> Result<Verdict, Box<dyn Error>> {
    let (mut page, mut verdict, mut title) = (Page::default(), Verdict::Pass, String::new());
    for path in &args.recordings {
        let recording = Recording::read(path)?;
        let report = report(&recording, &recording.header.case.checks, path);
        match args.json {
            // A reader that has gone away is no failure.
            true => drop(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&report)?)),
            false => print(&report),
        }
        if title.is_empty() {
            title = report.name.split('[').next().unwrap_or_default().to_owned();
        }
        verdict = verdict.max(report.verdict);
        add_to_page(&mut page, &report, Ok(&recording));
    }
    if let Some(path) = &args.html {
        let written = std::fs::write(path, page.render(&title));
        written.map_err(|error| format!("cannot write the page {}: {error}", path.display()))?;
    }
    Ok(verdict)
}

/// Through the same reporter as a live run.
fn print(report: &CaseReport) {
    Console::new(std::io::stdout()).report(&RunEvent::CaseFinished { report });
}

fn report(recording: &Recording, checks: &[Check], path: &Path) -> CaseReport {
    let mut outcome = outcome(recording, checks);
    outcome.recording = Some(path.display().to_string());
    outcome.report(&recording.header.case, format!("ktstr judge {}", path.display()), None)
}

fn timings(recording: &Recording) -> Timings {
    let at = |wanted: fn(&HostEvent) -> bool| {
        let found = recording.host_events().find(|(_, event)| wanted(event));
        found.map(|(HostNanos(at), _)| at as f64 / 1e9)
    };
    let started = at(|event| matches!(event, HostEvent::MachineStarted { .. }));
    let guest = at(|event| matches!(event, HostEvent::ScenarioStarted));
    let guest = guest.or(at(|event| matches!(event, HostEvent::GuestStarted)));
    let ended = at(|event| matches!(event, HostEvent::Ended(_) | HostEvent::HostFailed { .. }));
    let end = ended.or(guest).or(started).unwrap_or(0.0);
    let started = started.unwrap_or(end);
    let guest = guest.unwrap_or(end);
    Timings { prepare: started, boot: guest - started, run: end - guest, judge: 0.0 }
}

fn backend_version(recording: &Recording) -> String {
    let version = recording.host_events().find_map(|(_, event)| match event {
        HostEvent::MachineStarted { backend_version, .. } => Some(backend_version.clone()),
        _ => None,
    });
    version.unwrap_or_default()
}

fn kernel(recording: &Recording) -> String {
    let release = recording.events().find_map(|event| match &event.what {
        What::Booted(seen) => Some(seen.release.clone()),
        _ => None,
    });
    release.unwrap_or_default()
}

fn last_lines(console: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(console);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(CONSOLE_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown() {
        let console = (0..30).map(|i| format!("line {i}\r\n\r\n")).collect::<String>();
        let lines = last_lines(console.as_bytes());
        assert_eq!(lines.len(), CONSOLE_LINES);
        assert_eq!(lines[19], "line 29");
    }
}
