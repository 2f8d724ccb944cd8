//! Ops that the host did: whether they could be done, and whether what was read is what was expected.

use crate::number::count;
use crate::run::Run;
use ktstr_model::host_op::{Access, HostOp, HostOpResult};
use ktstr_model::verdict::Place;
use ktstr_model::{Cause, Finding, GuestNanos, Phase, Verdict};
use ktstr_recording::{HostEvent, Recording};
use std::collections::BTreeMap;

/// Values of one op that are named: one in a loop has many.
const VALUES_NAMED: usize = 8;

/// An op that the host came to.
#[derive(Clone, Copy)]
struct Done<'a> {
    op: &'a HostOp,
    at: Option<GuestNanos>,
    result: &'a HostOpResult,
}

impl Done<'_> {
    /// `7`; of a failure nothing.
    fn value(&self) -> Option<i128> {
        match self.result {
            HostOpResult::Read(value) => Some(*value),
            HostOpResult::Written | HostOpResult::Failed(_) => None,
        }
    }

    fn is_bad(&self) -> bool {
        match (self.result, self.op.access) {
            (HostOpResult::Failed(_), _) => true,
            (HostOpResult::Read(value), Access::Read { expect: Some(expected) }) => *value != expected,
            _ => false,
        }
    }
}

/// A finding for each op as it is declared, and one if some were not done.
pub(crate) fn look(run: &Run<'_>, recording: &Recording) -> Vec<Finding> {
    let ops = &run.case.host_ops;
    let mut all: Vec<Done<'_>> = Vec::new();
    for (_, event) in recording.host_events() {
        let HostEvent::Op { op, at, result } = event else { continue };
        // They come in order.
        let planned = ops.get(*op as usize).filter(|_| *op as usize == all.len());
        all.extend(planned.map(|op| Done { op, at: *at, result }));
    }
    let (done, planned) = (all.len(), ops.len());
    // What a scheduler that went away took with it is not there for an op; why it went, its checks say.
    if run.broken_off && all.last().is_some_and(|last| matches!(last.result, HostOpResult::Failed(_))) {
        all.pop();
    }
    let mut declared: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<Done<'_>>> = Vec::new();
    for one in all {
        let index = *declared.entry(&one.op.path).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Vec::new());
        }
        groups.get_mut(index).into_iter().for_each(|group| group.push(one));
    }
    let mut findings: Vec<Finding> = groups.iter().filter_map(|group| of_group(group)).collect();
    if run.finished && done < planned {
        let measured = format!("of {} of the host {done} were done", count(planned as u64, "op"));
        let explanation = "the guest says that it is done; was it built from the same source?".into();
        findings.push(Finding { explanation, ..finding(Verdict::Infrastructure, Cause::Channel, measured) });
    }
    findings
}

/// The first that is wrong, or all values.
fn of_group(group: &[Done<'_>]) -> Option<Finding> {
    let first = group.first()?;
    let bound = match first.op.access {
        Access::Read { expect: Some(expected) } => format!("expected {expected}"),
        _ => String::new(),
    };
    let place = |done: &Done<'_>| Place { step: Some(done.op.step), at: done.at, ..Place::default() };
    let Some(bad) = group.iter().find(|done| done.is_bad()) else {
        let values: Vec<String> = group.iter().filter_map(Done::value).map(|value| value.to_string()).collect();
        let named = values.iter().take(VALUES_NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = match values.len().saturating_sub(VALUES_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let measured = if named.is_empty() { first.op.to_string() } else { format!("{}: {named}{more}", first.op) };
        return Some(Finding { bound, place: place(first), ..finding(Verdict::Pass, Cause::Op, measured) });
    };
    let seen = match bad.result {
        HostOpResult::Failed(problem) => problem.clone(),
        _ => bad.value().unwrap_or_default().to_string(),
    };
    let explanation = format!("{}{}", bad.op.path, of_which(group, bad));
    let bound = if bad.value().is_some() { bound } else { String::new() };
    let measured = format!("{}: {seen}", bad.op);
    Some(Finding { bound, place: place(bad), explanation, ..finding(Verdict::Fail, Cause::Op, measured) })
}

/// Which time of several it was.
fn of_which(group: &[Done<'_>], bad: &Done<'_>) -> String {
    if group.len() == 1 {
        return String::new();
    }
    let before = group.iter().take_while(|done| !std::ptr::eq(*done, bad)).count();
    format!(", time {} of {}", before + 1, group.len())
}

fn finding(verdict: Verdict, cause: Cause, measured: String) -> Finding {
    Finding {
        verdict,
        cause,
        phase: Phase::Run,
        check: None,
        measured,
        bound: String::new(),
        origin: None,
        place: Place::default(),
        explanation: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::host_op::{KernelVariable, Variable};
    use ktstr_model::monitor::SeriesSpec;
    use ktstr_model::{Event, What};
    use ktstr_recording::Ending;
    use ktstr_testing::history::{history, History};

    const SCENARIO: &str = "scenario[0].ops";

    fn op(path: &str, variable: Variable, access: Access) -> HostOp {
        HostOp { step: 0, path: format!("{SCENARIO}{path}"), variable, access }
    }

    fn queued(path: &str, access: Access) -> HostOp {
        let (map, field) = ("bss".into(), "nr_queued".into());
        let spec = SeriesSpec { name: String::new(), map, field, key: None, of_all: None };
        op(path, Variable::Map(spec), access)
    }

    fn jiffies(path: &str, expect: Option<i128>) -> HostOp {
        let variable = KernelVariable { symbol: "jiffies_64".into(), field: String::new(), of_type: None, cpu: None };
        op(path, Variable::Kernel(variable), Access::Read { expect })
    }

    /// A case with these ops, which came to these results.
    fn case(ops: Vec<HostOp>, results: Vec<HostOpResult>) -> History {
        let mut history = history("1n1l1c1t", "a: cpu_spin x1\nhold 1s");
        history.case.host_ops = ops;
        for (op, result) in (0..).zip(results) {
            let at = GuestNanos(2_000_000_000 + u64::from(op));
            history.events.insert(2 + op as usize, Event { at, what: What::HostOp { op } });
            history.host.insert(op as usize, HostEvent::Op { op, at: Some(at), result });
        }
        history
    }

    fn found(history: &History) -> Vec<String> {
        let findings = crate::judge(&history.recording(), &[]).findings;
        let text = |finding: &Finding| {
            let Finding { verdict, measured, bound, explanation, .. } = finding;
            format!("{} {measured}, {bound}, {explanation}", verdict.name()).trim_end_matches(", ").to_owned()
        };
        findings.iter().map(text).collect()
    }

    #[test]
    fn what_was_read_is_said_and_compared() {
        use HostOpResult::{Failed, Read, Written};
        let read = |expect| queued("[0].read_map", Access::Read { expect });
        let nothing = "unknown nothing to judge: all checks are switched off";
        for (ops, results, expected) in [
            (vec![read(None)], vec![Read(7)], vec![nothing, "pass read nr_queued of map bss: 7"]),
            (vec![read(Some(7))], vec![Read(7)], vec!["pass read nr_queued of map bss: 7, expected 7"]),
            (
                vec![read(Some(0))],
                vec![Read(7)],
                vec!["fail read nr_queued of map bss: 7, expected 0, scenario[0].ops[0].read_map"],
            ),
            (
                vec![queued("[0].write_map", Access::Write(-1)), jiffies("[1].read_kernel", Some(5))],
                vec![Written, Read(5)],
                vec!["pass write -1 to nr_queued of map bss", "pass read jiffies_64: 5, expected 5"],
            ),
            (
                vec![queued("[0].write_map", Access::Write(1))],
                vec![Failed("there is no BPF map `bss`".into())],
                vec!["fail write 1 to nr_queued of map bss: there is no BPF map `bss`, , scenario[0].ops[0].write_map"],
            ),
            (
                vec![read(Some(1)), jiffies("[1].read_kernel", None), read(Some(1)), jiffies("[1].read_kernel", None)],
                vec![Read(1), Read(8), Read(2), Read(9)],
                vec![
                    "fail read nr_queued of map bss: 2, expected 1, scenario[0].ops[0].read_map, time 2 of 2",
                    "pass read jiffies_64: 8, 9",
                ],
            ),
            (
                vec![jiffies("[0].read_kernel", None); 11],
                (1..=11).map(Read).collect(),
                vec![nothing, "pass read jiffies_64: 1, 2, 3, 4, 5, 6, 7, 8 and 3 more"],
            ),
        ] {
            assert_eq!(found(&case(ops, results)), expected);
        }
    }

    #[test]
    fn a_finding_says_where_and_can_be_expected() {
        let case = case(vec![jiffies("[0].read_kernel", Some(1))], vec![HostOpResult::Read(2)]);
        let finding = crate::judge(&case.recording(), &[]).findings.remove(0);
        assert_eq!((finding.place.step, finding.place.at), (Some(0), Some(GuestNanos(2_000_000_000))));
        assert!(finding.cause.is_failure() && !finding.cause.is_of_scheduler());
    }

    #[test]
    fn what_was_not_done_is_the_harness_failure_and_what_is_not_planned_counts_for_nothing() {
        let mut case = case(vec![jiffies("[0].read_kernel", None); 2], vec![HostOpResult::Read(1)]);
        let lacks =
            "infrastructure of 2 ops of the host 1 were done, , the guest says that it is done; was it built from the \
                     same source?";
        assert!(found(&case).contains(&lacks.into()), "{:?}", found(&case));
        // Twice the same, and one that is not there.
        case = case.host(HostEvent::Op { op: 9, at: None, result: HostOpResult::Read(3) });
        case.host.insert(2, HostEvent::Op { op: 0, at: None, result: HostOpResult::Read(3) });
        assert!(found(&case).contains(&lacks.into()), "{:?}", found(&case));
        let cut = found(&case.ended(Ending::TripleFault));
        assert!(!cut.contains(&lacks.into()), "{cut:?}");
        let mut strange = self::case(vec![], vec![]);
        strange.events.insert(2, Event { at: GuestNanos(1), what: What::HostOp { op: 0 } });
        assert!(found(&strange)[0].contains("do not fit the plan"), "{:?}", found(&strange));
    }

    #[test]
    fn an_op_that_found_the_scheduler_gone_says_nothing_more() {
        let failed = HostOpResult::Failed("there is no BPF map `bss`".into());
        let mut case = case(vec![queued("[0].read_map", Access::Read { expect: None })], vec![failed]);
        let gone = |case: &History| found(case).iter().all(|text| !text.contains("no BPF map"));
        assert!(!gone(&case));
        case.events.retain(|event| event.what != What::Finished);
        case.events.push(Event { at: GuestNanos(9_000_000_000), what: What::BrokenOff });
        assert!(gone(&case), "{:?}", found(&case));
    }
}
