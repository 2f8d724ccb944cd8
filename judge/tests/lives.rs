//! A scheduler that is stopped and started again in the middle of a scenario.

use ktstr_judge::{judge, Judgement};
use ktstr_model::check::{merge, Has};
use ktstr_model::{Cause, Phase};
use ktstr_recording::Ending;
use ktstr_testing::history::{history, History};

const ATTACHED: &str = "scx start mine
    scx state enabling
    scx wait 500ms
    scx log 6 sched_ext: BPF scheduler \"mine\" enabled
    scx state enabled
    a: cpu_spin x2
    hold 1s
";
const DETACHED: &str = "
    scx signal 2
    scx wait 30ms
    scx log 6 sched_ext: BPF scheduler \"mine\" disabled (unregistered from user space)
    scx state disabled
    scx exit 0
";
const STARTED_AGAIN: &str = "
    scx again
    scx state disabled
    scx wait 300ms
    scx log 6 sched_ext: BPF scheduler \"mine\" enabled
    scx state enabled
    hold 1s
";

fn judged(history: &History) -> Judgement {
    judge(&history.recording(), &merge(&[], Has { limited_cpus: false, scheduler: true }))
}

/// The first finding of a scheduler with this history.
fn found(lines: &str) -> String {
    let findings = judged(&history("1n1l2c1t", lines)).findings;
    let first = findings.first().expect("there is one");
    format!("{} ({}, {}): {}", first.verdict.name(), first.cause.name(), first.phase.name(), first.measured)
}

#[test]
fn a_wanted_stop_is_no_failure() {
    let stopped = format!("{ATTACHED}{DETACHED}hold 1s\n");
    insta::assert_snapshot!(found(&stopped), @"pass (check, run): mine attached in 500ms, detached in 30ms");
    let again = format!("{ATTACHED}{DETACHED}{STARTED_AGAIN}{DETACHED}");
    insta::assert_snapshot!(found(&again), @"pass (check, run): mine attached in 500ms, detached in 30ms, attached in 300ms, detached in 30ms");
}

#[test]
fn a_failure_of_a_further_start_has_the_phase_of_its_own_life() {
    let seen = found(&format!("{ATTACHED}{DETACHED}scx again\nscx state disabled\nscx late attach 5s S\nbroken"));
    assert!(seen.starts_with("fail (load hang, load): load hang: after 5s it has not asked"), "{seen}");
    let seen = found(&format!("{ATTACHED}{DETACHED}{STARTED_AGAIN}scx exit 256\nbroken"));
    assert!(
        seen.starts_with("fail (exit, run): exit: it ended by itself with exit code 1 while it was attached"),
        "{seen}"
    );
    // One that did not end well when it was stopped, and came again.
    let seen = found(&format!("{ATTACHED}{}{STARTED_AGAIN}{DETACHED}", DETACHED.replace("exit 0", "exit 256")));
    assert!(seen.starts_with("fail (exit, detach): exit: it ended with exit code 1 when it was told to end"), "{seen}");
}

#[test]
fn a_guest_that_dies_while_the_scheduler_is_stopped_dies_in_phase_run() {
    let history = history("1n1l2c1t", &format!("{ATTACHED}{DETACHED}step\nhold 1s\ncut"));
    let findings = judged(&history.ended(Ending::Panic { message: "x".into() })).findings;
    let panic = findings.iter().find(|finding| finding.cause == Cause::Panic).expect("is found");
    assert_eq!(panic.phase, Phase::Run);
}
