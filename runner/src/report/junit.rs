//! JUnit: a suite per target, a test case per case. What Bazel shows as `test.xml` and CI systems read.

use super::{console, CaseReport, TargetReport};
use ktstr_model::Verdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

pub(super) fn render(report: &TargetReport) -> Vec<u8> {
    let mut suite = TestSuite::new(&report.target);
    suite.add_test_cases(report.cases.iter().map(|case| test_case(&report.target, case)));
    let mut junit = Report::new(&report.target);
    junit.add_test_suite(suite);
    let mut xml = Vec::new();
    // Writing into memory does not fail.
    let _ = junit.serialize(&mut xml);
    xml
}

fn test_case(target: &str, case: &CaseReport) -> TestCase {
    let mut test = TestCase::new(&case.name, status(case));
    test.set_classname(target.trim_start_matches('/').replace(['/', ':'], "."));
    test.set_time(Duration::from_secs_f64(case.timings.total()));
    let properties = [
        ("topology", case.topology.clone()),
        ("backend", case.backend.clone()),
        ("backend_version", case.backend_version.clone()),
        ("clock", case.clock.clone()),
        ("start", case.start.clone()),
        ("seed", case.seed.to_string()),
        ("kernel", case.kernel.clone()),
        ("key", case.key.clone()),
        ("guest_sha256", case.guest_sha256.clone()),
        ("verdict", case.verdict.name().into()),
    ];
    for (name, value) in &properties {
        test.add_property((*name, value.as_str()));
    }
    if case.verdict.is_red() {
        test.set_system_out(console::details(case));
    }
    test
}

fn status(case: &CaseReport) -> TestCaseStatus {
    let kind = match case.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Skipped => {
            let mut status = TestCaseStatus::skipped();
            if let Some(finding) = case.findings.iter().find(|finding| finding.verdict == Verdict::Skipped) {
                status.set_message(finding.measured.clone());
            }
            return status;
        }
        Verdict::Infrastructure => NonSuccessKind::Error,
        Verdict::Unknown | Verdict::Fail => NonSuccessKind::Failure,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(case.verdict.name());
    let headlines: Vec<String> = case.red_findings().iter().map(|finding| console::headline(finding)).collect();
    status.set_message(headlines.join("; "));
    status.set_description(console::details(case));
    status
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;

    fn xml() -> String {
        String::from_utf8(render(&target())).expect("text")
    }

    #[test]
    fn each_verdict_has_its_element() {
        let xml = xml();
        let count = |text: &str| xml.matches(text).count();
        assert_eq!(
            (count("<testcase "), count("<failure "), count("<error "), count("<skipped ")),
            (5, 2, 1, 1),
            "{xml}"
        );
        assert!(
            xml.contains(r#"tests="5" skipped="1" errors="1" failures="2""#) || xml.contains("failures=\"2\""),
            "{xml}"
        );
    }

    #[test]
    fn times_have_decimals() {
        // Bazel reads a whole number as milliseconds.
        assert!(xml().contains("time=\"3.050\""));
    }
}
