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

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::super::ReportFiles;
    use super::*;
    use ktstr_testing::history::history;

    #[test]
    fn the_page_is_beside_the_recordings_and_says_what_has_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = ReportFiles { xml: None, directory: Some(directory.path().to_owned()) };
        let (mut page, report) = (Page::default(), target());
        let mut missing = report.cases[0].clone();
        missing.recording = None;
        files.add(&missing, &mut page);
        files.add(&report.cases[1], &mut page);
        let file = directory.path().join(report.cases[1].recording.as_deref().expect("a name"));
        std::fs::write(file, history("1n1l2c1t", "a: cpu_spin x1\nhold 1s").write()).expect("writes");
        files.add(&report.cases[1], &mut page);
        files.write(&report, &page).expect("writes");
        let page = std::fs::read_to_string(directory.path().join("report.html")).expect("reads");
        for text in [
            r#""no_timeline":"there is no recording of it""#,
            r#""no_timeline":"cannot read the recording "#,
            r#""timeline":{"start":2000000000,"#,
            r#""title":"//x:t""#,
        ] {
            assert_eq!(page.matches(text).count(), 1, "{text}");
        }
    }
}
