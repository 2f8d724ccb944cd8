//! Whether what a test asked to be traced is there and whole.

use crate::number::count;
use crate::run::{Run, Switches};
use ktstr_model::trace::TraceEvent;
use ktstr_model::verdict::Place;
use ktstr_model::{Cause, CpuSet, Finding, Phase, Verdict};
use ktstr_recording::Recording;

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

/// What is missing of the context switches of a recording whose case asks for them, one a line. A case that broke off lacks some
/// as well, whatever the judge says of it.
pub fn missing_switches(recording: &Recording) -> Vec<String> {
    let run = Run::new(recording);
    let of = |cpu: u32| run.switches.get(&cpu);
    let mut lines: Vec<String> =
        recording.incomplete().map(|why| format!("the recording is not whole: {why}")).into_iter().collect();
    if !run.finished {
        lines.push("the case did not come to its end, and context switches are sent last".into());
    }
    let (counted, uncounted): (Vec<u32>, Vec<u32>) =
        (0..run.case.topology.cpus()).partition(|cpu| of(*cpu).is_some_and(|switches| switches.count.is_some()));
    if !uncounted.is_empty() {
        let came = uncounted.iter().filter_map(|cpu| of(*cpu)).map(|switches| switches.seen).sum::<u64>();
        let cpus = CpuSet::try_from_cpus(uncounted).unwrap_or_default();
        let came = if came == 0 { "no".into() } else { came.to_string() };
        lines.push(format!("of CPU {cpus} {came} context switches came, and nobody knows how many there were"));
    }
    for cpu in counted {
        let Some((seen, count)) = of(cpu).and_then(|switches| Some((switches.seen, switches.count?))) else { continue };
        if seen != count.recorded {
            lines.push(format!("of {} context switches of CPU {cpu} {seen} came", count.recorded));
        }
        if count.dropped > 0 {
            lines.push(format!(
                "{} more of CPU {cpu} were dropped: the kernel's trace buffers were full",
                count.dropped
            ));
        }
    }
    lines
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
