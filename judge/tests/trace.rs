//! What a test asked to be traced is there and whole, or the case is no pass.

use ktstr_judge::{judge, missing_switches};
use ktstr_model::trace::{CpuSwitchCount, CpuSwitches, Switch, Task, TraceEvent};
use ktstr_model::{Check, Event, GuestNanos, Verdict, What};
use ktstr_recording::{Ending, HostEvent};
use ktstr_testing::history::{history, History};

/// A case whose CPUs recorded and dropped so many switches each.
fn traced(topology: &str, cpus: &[(u64, u64)]) -> History {
    let mut history = history(topology, "a: cpu_spin x1\n hold 1s");
    history.case.plan.trace = vec![TraceEvent::SchedSwitch];
    for (cpu, (recorded, dropped)) in (0..).zip(cpus) {
        let other = Task::Other { pid: 0, comm: "swapper".into() };
        let switch = Switch { at: GuestNanos(5), prev: other, prev_runnable: true, next: Task::Worker(0) };
        let switches = vec![switch; *recorded as usize];
        send(&mut history, What::Switches(CpuSwitches { cpu, switches }));
        send(&mut history, What::SwitchesEnded(CpuSwitchCount { cpu, recorded: *recorded, dropped: *dropped }));
    }
    history
}

fn send(history: &mut History, what: What) {
    history.events.push(Event { at: GuestNanos(2_000_000_000), what });
}

/// Verdict, and what the last finding says.
fn last(history: &History, checks: &[Check]) -> (Verdict, String) {
    let judgement = judge(&history.recording(), checks);
    let last = judgement.findings.last().expect("never empty");
    (judgement.verdict, format!("{}: {}", last.cause.name(), last.measured))
}

fn checks() -> Vec<Check> {
    ktstr_model::check::merge(&[], ktstr_model::check::Has::default())
}

#[test]
fn a_whole_trace_says_how_much_it_is() {
    let two = traced("1n1l2c1t", &[(3, 0), (0, 0)]);
    let said = "trace: 3 context switches (CPU 0: 3, CPU 1: 0)";
    assert_eq!(last(&two, &checks()), (Verdict::Pass, said.into()));
    let many: Vec<(u64, u64)> = (0..16).map(|cpu| (cpu, 0)).collect();
    let said = "trace: 120 context switches (CPU 0: 0 to CPU 15: 15)";
    assert_eq!(last(&traced("1n1l16c1t", &many), &checks()), (Verdict::Pass, said.into()));
}

#[test]
fn what_was_dropped_is_unknown() {
    let said = "trace: 3 context switches (CPU 0: 2, CPU 1: 1); 7 more of CPU 1 were dropped";
    let history = traced("1n1l2c1t", &[(2, 0), (1, 7)]);
    assert_eq!(last(&history, &checks()), (Verdict::Unknown, said.into()));
}

#[test]
fn what_did_not_come_is_infrastructure() {
    let said = "channel: context switches of 2 CPUs came from 1 only";
    assert_eq!(last(&traced("1n1l2c1t", &[(2, 0)]), &checks()), (Verdict::Infrastructure, said.into()));
    let mut fewer = traced("1n1l2c1t", &[(2, 0)]);
    send(&mut fewer, What::SwitchesEnded(CpuSwitchCount { cpu: 1, recorded: 4, dropped: 0 }));
    assert_eq!(last(&fewer, &checks()), (Verdict::Infrastructure, said.into()));
}

#[test]
fn a_trace_that_nobody_asked_for_does_not_fit() {
    let mut history = traced("1n1l1c1t", &[(2, 0)]);
    history.case.plan.trace.clear();
    let judgement = judge(&history.recording(), &checks());
    assert_eq!(judgement.findings[0].measured, "2 messages of the guest do not fit the plan");
}

#[test]
fn a_trace_is_no_judgement() {
    let judgement = judge(&traced("1n1l1c1t", &[(2, 0)]).recording(), &[]);
    assert_eq!(judgement.verdict, Verdict::Unknown);
}

#[test]
fn a_case_that_broke_off_says_why_and_not_that_the_trace_is_missing() {
    let panic = traced("1n1l1c1t", &[]).ended(Ending::Panic { message: "oops".into() });
    let judgement = judge(&panic.recording(), &checks());
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert!(judgement.findings.iter().all(|finding| finding.phase != ktstr_model::Phase::Finish));
}

#[test]
fn what_is_missing_of_a_trace_is_said_cpu_by_cpu() {
    let missing = |history: &History| missing_switches(&history.recording());
    assert_eq!(missing(&traced("1n1l2c1t", &[(3, 0), (0, 0)])), Vec::<String>::new());
    let dropped = traced("1n1l2c1t", &[(2, 5), (1, 7)]);
    assert_eq!(
        missing(&dropped),
        [
            "5 more of CPU 0 were dropped: the kernel's trace buffers were full",
            "7 more of CPU 1 were dropped: the kernel's trace buffers were full",
        ]
    );
    let mut fewer = traced("1n1l4c1t", &[(2, 0)]);
    send(&mut fewer, What::SwitchesEnded(CpuSwitchCount { cpu: 1, recorded: 4, dropped: 0 }));
    assert_eq!(
        missing(&fewer),
        [
            "of CPU 2-3 no context switches came, and nobody knows how many there were",
            "of 4 context switches of CPU 1 0 came",
        ]
    );
    let panic = traced("1n1l1c1t", &[]).ended(Ending::Panic { message: "oops".into() });
    let unfinished = "the case did not come to its end, and context switches are sent last";
    assert_eq!(
        missing(&panic),
        [unfinished, "of CPU 0 no context switches came, and nobody knows how many there were"]
    );
    let lost = HostEvent::ChannelProblem { offset: 9, problem: "overrun".into() };
    assert_eq!(
        missing(&traced("1n1l1c1t", &[(2, 0)]).host(lost)),
        ["the recording is not whole: messages of the guest were lost: overrun"]
    );
}
