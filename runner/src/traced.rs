//! `ktstr trace`: the context switches of a recording, line by line; or all that is known of it, as a trace for Perfetto.
//!
//! ```text
//!     1.204118763 segment 0 starts
//!     1.204180371 CPU 0: worker 2 (bursty/2) S -> idle
//! ```
//!
//! What is missing of them is warned of behind the last line, on standard error.
//!
//! `R` stands for a task that could have run on, `S` for one that waits. Holds are in between, so that it is seen what belongs to
//! which.

use crate::cli::TraceArgs;
use ktstr_judge::{judge, missing_switches};
use ktstr_model::event::What;
use ktstr_model::trace::{Switch, Task};
use ktstr_model::{GuestNanos, Plan, Verdict};
use ktstr_recording::Recording;
use ktstr_timeline::perfetto;
use std::error::Error;
use std::io::Write;

/// Prints a recording's context switches.
///
/// # Errors
/// A file that is no recording, or one in which nothing was traced.
pub(crate) fn trace_file(args: &TraceArgs) -> Result<Verdict, Box<dyn Error>> {
    let recording = Recording::read(&args.recording)?;
    if let Some(path) = &args.output {
        let findings = judge(&recording, &recording.header.case.checks).findings;
        let written = std::fs::write(path, perfetto(&recording, &findings));
        written.map_err(|error| format!("cannot write the trace {}: {error}", path.display()))?;
        return Ok(Verdict::Pass);
    }
    let plan = &recording.header.case.plan;
    if plan.trace.is_empty() {
        let text = "nothing was traced in it: the test has to say trace = [\"sched_switch\"]";
        return Err(format!("{}: {text}", args.recording.display()).into());
    }
    // A reader that has gone away is no failure.
    let _ = std::io::stdout().write_all(lines(&recording, plan).as_bytes());
    missing_switches(&recording).iter().for_each(|line| eprintln!("WARNING: {line}"));
    Ok(Verdict::Pass)
}

/// All lines in the order of their times.
fn lines(recording: &Recording, plan: &Plan) -> String {
    let mut lines: Vec<(GuestNanos, String)> = Vec::new();
    for event in recording.events() {
        match &event.what {
            What::SegmentStarted { segment } => lines.push((event.at, format!("segment {segment} starts"))),
            What::SegmentEnded { segment } => lines.push((event.at, format!("segment {segment} ends"))),
            What::Switches(part) => {
                let line = |switch: &Switch| (switch.at, format!("CPU {}: {}", part.cpu, shown(switch, plan)));
                lines.extend(part.switches.iter().map(line));
            }
            _ => {}
        }
    }
    // Stable: lines of one time stay in the order in which they came.
    lines.sort_by_key(|(at, _)| *at);
    let line = |(at, text): &(GuestNanos, String)| format!("{:5}.{:09} {text}\n", at.0 / NS, at.0 % NS);
    lines.iter().map(line).collect()
}

const NS: u64 = 1_000_000_000;

fn shown(switch: &Switch, plan: &Plan) -> String {
    let task = |task: &Task| match task {
        Task::Worker(worker) => format!("{task} ({})", plan.worker_name(*worker)),
        Task::Other { .. } => task.to_string(),
    };
    let state = if switch.prev_runnable { 'R' } else { 'S' };
    // The name of a process is its own choice.
    format!("{} {state} -> {}", task(&switch.prev), task(&switch.next)).replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::trace::{CpuSwitches, TraceEvent};
    use ktstr_model::Event;
    use ktstr_testing::history::history;

    #[test]
    fn switches_of_all_cpus_are_in_order_between_the_holds() {
        let mut history = history("1n1l2c1t", "a: cpu_spin x2\nhold 1s");
        history.case.plan.trace = vec![TraceEvent::SchedSwitch];
        let other = |pid, comm: &str| Task::Other { pid, comm: comm.into() };
        let start = history.events.iter().find(|event| event.what == What::SegmentStarted { segment: 0 });
        let start = start.expect("a segment").at.0;
        let mut switches = |cpu, after, prev, prev_runnable, next| {
            let switch = Switch { at: GuestNanos(start + after), prev, prev_runnable, next };
            let what = What::Switches(CpuSwitches { cpu, switches: vec![switch] });
            history.events.push(Event { at: GuestNanos(start + NS), what });
        };
        switches(1, 20, Task::Worker(1), true, other(15, "rcu\n"));
        switches(0, 10, other(0, "swapper/0"), true, Task::Worker(0));
        let recording = history.recording();
        let shown = lines(&recording, &history.case.plan);
        let shown: Vec<&str> =
            shown.lines().map(|line| line.split_once(' ').map_or(line, |_| line[16..].trim())).collect();
        assert_eq!(
            shown,
            [
                "segment 0 starts",
                "CPU 0: idle R -> worker 0 (cpu_spin/0)",
                "CPU 1: worker 1 (cpu_spin/1) R -> rcu\u{fffd}:15",
                "segment 0 ends",
            ]
        );
    }
}
