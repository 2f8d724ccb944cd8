//! Whether what a test asked to be traced is there and whole.

use crate::number::count;
use crate::run::{Run, Switches};
use ktstr_model::trace::TraceEvent;
use ktstr_model::verdict::Place;
use ktstr_model::{Cause, Finding, Phase, Verdict};

/// CPUs that are named one by one.
const CPUS_NAMED: u32 = 8;

/// The finding about context switches, if they were asked for. A case that broke off has none to show: they are sent last.
pub(crate) fn look(run: &Run<'_>) -> Option<Finding> {
    if !run.finished || !run.case.plan.trace.contains(&TraceEvent::SchedSwitch) {
        return None;
    }
    let cpus = run.case.topology.cpus();
    let all: Vec<(u32, u64, u64)> = (0..cpus).filter_map(|cpu| whole(cpu, run.switches.get(&cpu)?)).collect();
    if all.len() < cpus as usize {
        let measured = format!("context switches of {} came from {} only", count(cpus.into(), "CPU"), all.len());
        let explanation = "the guest says that it is done; was it built from the same source?";
        return Some(finding(Verdict::Infrastructure, Cause::Channel, measured, explanation));
    }
    let measured = recorded(&all);
    let (cpu, _, dropped) = all.iter().copied().max_by_key(|(_, _, dropped)| *dropped)?;
    if dropped > 0 {
        let measured = format!("{measured}; {dropped} more of CPU {cpu} were dropped");
        let explanation = "the kernel's trace buffers were full: shorter holds or fewer CPUs would do";
        return Some(finding(Verdict::Unknown, Cause::Trace, measured, explanation));
    }
    Some(finding(Verdict::Pass, Cause::Trace, measured, ""))
}

/// What a CPU recorded and dropped, if all of it came.
fn whole(cpu: u32, switches: &Switches) -> Option<(u32, u64, u64)> {
    let count = switches.count.filter(|count| count.recorded == switches.seen)?;
    Some((cpu, count.recorded, count.dropped))
}

fn recorded(all: &[(u32, u64, u64)]) -> String {
    let sum = all.iter().fold(0u64, |sum, (_, recorded, _)| sum.saturating_add(*recorded));
    let of = |(cpu, recorded, _): &(u32, u64, u64)| format!("CPU {cpu}: {recorded}");
    let named: Vec<String> = if all.len() <= CPUS_NAMED as usize {
        all.iter().map(of).collect()
    } else {
        let by = |(_, recorded, _): &&(u32, u64, u64)| *recorded;
        [all.iter().min_by_key(by), all.iter().max_by_key(by)].into_iter().flatten().map(of).collect()
    };
    let between = if all.len() <= CPUS_NAMED as usize { ", " } else { " to " };
    format!("{sum} context switches ({})", named.join(between))
}

fn finding(verdict: Verdict, cause: Cause, measured: String, explanation: &str) -> Finding {
    Finding {
        verdict,
        cause,
        phase: Phase::Finish,
        check: None,
        measured,
        bound: String::new(),
        origin: None,
        place: Place::default(),
        explanation: explanation.into(),
    }
}
