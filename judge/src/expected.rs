//! `expect_failure`: the findings of a case whose test is about a failure.
//!
//! The failure that is expected becomes a pass. Every other one stays what it is, and so does everything that the harness or the
//! host did wrong: a test of a failure's path that fails in another way has found something else.

use ktstr_model::verdict::Place;
use ktstr_model::{Cause, ExpectedFailure, Finding, Phase, Verdict};

/// The findings as the test means them.
pub(crate) fn look(expected: &ExpectedFailure, mut findings: Vec<Finding>) -> Vec<Finding> {
    let mut happened = false;
    for finding in &mut findings {
        if finding.verdict == Verdict::Fail && expected.is(finding) {
            happened = true;
            finding.verdict = Verdict::Pass;
            finding.measured = format!("as expected: {}", finding.measured);
        }
    }
    if !happened {
        let seen = findings.iter().find(|finding| finding.verdict == Verdict::Fail);
        // What broke the case on the harness's side says itself that nothing can be known.
        let known = findings.iter().all(|finding| finding.verdict != Verdict::Infrastructure);
        let finding = missing(expected, seen);
        if known {
            findings.insert(0, finding);
        }
    }
    findings
}

fn missing(expected: &ExpectedFailure, seen: Option<&Finding>) -> Finding {
    let instead = match seen {
        None => "nothing failed".to_owned(),
        Some(seen) => format!("what failed is {} in phase {}", seen.cause.name(), seen.phase.name()),
    };
    Finding {
        verdict: Verdict::Fail,
        cause: Cause::Unexpected,
        phase: expected.phase.unwrap_or(Phase::Run),
        check: None,
        measured: format!("expected {expected}; {instead}"),
        bound: String::new(),
        origin: None,
        place: Place::default(),
        explanation: "the test says with expect_failure what has to fail, and how".into(),
    }
}
