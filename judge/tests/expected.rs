//! `expect_failure`: exactly one failure is a pass.

use ktstr_judge::{judge, Judgement};
use ktstr_model::check::{merge, Has};
use ktstr_model::{Cause, ExpectedFailure, Finding, Phase};
use ktstr_recording::Ending;
use ktstr_testing::history::{history, History};

const ATTACHED: &str = "scx start mine
    scx state enabled
    a: cpu_spin x2
    hold 1s
";
const DETACHED: &str = "
    scx signal 2
    scx state disabled
    scx exit 0
";

fn judged(history: &History) -> Judgement {
    judge(&history.recording(), &merge(&[], Has { limited_cpus: false, scheduler: true }))
}

fn text(finding: &Finding) -> String {
    let check = finding.check.as_deref().unwrap_or("-");
    let (verdict, cause, phase) = (finding.verdict.name(), finding.cause.name(), finding.phase.name());
    format!("{verdict} {check} ({cause}, {phase}): {}", finding.measured)
}

fn expecting(lines: &str, cause: Cause, phase: Option<Phase>, message: Option<&str>) -> String {
    let mut history = history("1n1l2c1t", lines);
    history.case.expect_failure = Some(ExpectedFailure { cause, phase, message: message.map(Into::into) });
    let judgement = judged(&history);
    let lines: Vec<String> = judgement.findings.iter().map(text).collect();
    format!("{}\n{}", judgement.verdict.name(), lines.join("\n"))
}

#[test]
fn the_failure_that_is_expected_is_a_pass() {
    let error = format!(
        "{ATTACHED} scx log 3 sched_ext: BPF scheduler \"mine\" disabled (scx_bpf_error)
         scx log 3 sched_ext: mine: no such cell
         scx state disabled\n scx exit 256\n broken"
    );
    let seen = expecting(&error, Cause::BpfError, Some(Phase::Run), Some("no such cell"));
    assert!(seen.starts_with("pass\npass scheduler_alive (scx_bpf_error, run): as expected: scx_bpf_error: no such"));
    let other = [
        (Cause::Stall, None, None, "expected stall"),
        (Cause::BpfError, Some(Phase::Attach), None, "expected scx_bpf_error in phase attach"),
        (Cause::BpfError, None, Some("no such CPU"), "expected scx_bpf_error, with \"no such CPU\""),
    ];
    for (cause, phase, message, words) in other {
        let seen = expecting(&error, cause, phase, message);
        let line = format!("{words}; what failed is scx_bpf_error in phase run");
        assert!(seen.starts_with("fail\nfail - (unexpected, "), "{seen}");
        assert!(seen.contains(&line) && seen.contains("fail scheduler_alive (scx_bpf_error"), "{seen}");
    }
    let nothing = expecting(&format!("{ATTACHED}{DETACHED}"), Cause::Stall, Some(Phase::Run), None);
    assert!(nothing.starts_with("fail\nfail - (unexpected, run): expected stall in phase run; nothing failed"));
}

#[test]
fn a_failed_check_can_be_expected_by_its_name() {
    let starved = format!("{ATTACHED} a/0 it=0 cpu=0ms\n{DETACHED}");
    let seen = expecting(&starved, Cause::Check, None, Some("not_starved"));
    assert!(seen.starts_with("pass\n"), "{seen}");
    assert!(expecting(&starved, Cause::Check, None, Some("max_gap")).starts_with("fail\n"));
}

#[test]
fn what_the_harness_did_is_never_expected() {
    let mut history =
        history("1n1l2c1t", ATTACHED).ended(Ending::EmulatorFailed { status: "1".into(), log: "".into() });
    history.case.expect_failure = Some(ExpectedFailure { cause: Cause::Stall, phase: None, message: None });
    assert_eq!(judged(&history).verdict.name(), "infrastructure");
}
