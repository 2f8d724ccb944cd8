//! `report.html`: the page of a target, to which each case is added when it has ended.

use super::CaseReport;
use ktstr_recording::Recording;
use ktstr_timeline::{Head, Page};
use std::path::Path;

/// Adds a case whose recording, if it has one, is in `directory`.
pub(super) fn add_from(page: &mut Page, report: &CaseReport, directory: &Path) {
    let recording = match &report.recording {
        Some(file) => Recording::read(&directory.join(file)).map_err(|error| error.to_string()),
        None => Err("there is no recording of it".into()),
    };
    add(page, report, recording.as_ref().map_err(Clone::clone));
}

/// Adds a case.
pub(crate) fn add(page: &mut Page, report: &CaseReport, recording: Result<&Recording, String>) {
    let head = Head {
        name: report.name.clone(),
        topology: report.topology.clone(),
        profile: report.profile.clone().unwrap_or_default(),
        seed: report.seed,
        verdict: report.verdict,
    };
    page.add(head, report, recording);
}
