//! `build_events.json`: one `TestResult` a *case*, in the form of Bazel's `--build_event_json_file`
//! (src/main/java/com/google/devtools/build/lib/buildeventstream/proto/build_event_stream.proto). Bazel's own stream
//! has one a shard, and a test cannot add to it.

use super::{CaseReport, TargetReport};
use ktstr_model::Verdict;
use serde_json::{json, Value};

pub(super) fn render(report: &TargetReport) -> Vec<u8> {
    let mut lines = Vec::new();
    for case in &report.cases {
        lines.extend(event(report, case).to_string().into_bytes());
        lines.push(b'\n');
    }
    lines
}

fn event(report: &TargetReport, case: &CaseReport) -> Value {
    let outputs: Vec<Value> = case.recording.iter().map(|file| json!({ "name": "recording", "uri": file })).collect();
    let headlines: Vec<String> = case.red_findings().iter().map(|finding| super::console::headline(finding)).collect();
    json!({
        "id": { "testResult": {
            "label": format!("{}/{}", report.target, case.name),
            "run": 1,
            "shard": report.shard + 1,
            "attempt": 1,
        }},
        "testResult": {
            "status": status(case.verdict),
            "statusDetails": headlines.join("; "),
            "testAttemptDurationMillis": format!("{}", (case.timings.total() * 1000.0).round() as u64),
            "testActionOutput": outputs,
        },
    })
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASSED",
        Verdict::Skipped => "NO_STATUS",
        Verdict::Unknown => "INCOMPLETE",
        Verdict::Infrastructure => "REMOTE_FAILURE",
        Verdict::Fail => "FAILED",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;

    #[test]
    fn one_event_a_case() {
        let text = String::from_utf8(render(&target())).expect("text");
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let statuses: Vec<&str> = events.iter().filter_map(|event| event["testResult"]["status"].as_str()).collect();
        assert_eq!(statuses, ["PASSED", "FAILED", "INCOMPLETE", "REMOTE_FAILURE", "NO_STATUS"]);
        assert_eq!(events[1]["id"]["testResult"]["label"], "//x:t/t[1n1l2c1t][s1]");
    }
}
