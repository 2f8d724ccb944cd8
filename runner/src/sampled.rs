//! `ktstr samples`: what the host saw of the guest's kernel, as JSON for others. `Recording ──samples──▶ a line each`.

use crate::cli::SamplesArgs;
use ktstr_model::{GuestNanos, MonitorSpec, Sample, Verdict};
use ktstr_recording::{HostEvent, Recording};
use serde::Serialize;
use std::error::Error;
use std::io::Write;

/// The first line: what the numbers of the others mean.
#[derive(Serialize)]
struct About<'a> {
    case: &'a str,
    /// What was asked for; null: nothing.
    monitor: Option<&'a MonitorSpec>,
    /// How far KASLR has moved the kernel, in bytes; null: it was never found.
    slide: Option<u64>,
    /// Names of the counts in `scx.events`.
    events: &'a [String],
    /// What the kernel lacks.
    absent: &'a [String],
    /// Series that cannot be read, and why.
    unreadable: Vec<(&'a str, &'a str)>,
    /// Why there are no samples, or no more.
    problem: Option<&'a str>,
}

/// Every other line.
#[derive(Serialize)]
struct Line<'a> {
    at: GuestNanos,
    #[serde(flatten)]
    sample: &'a Sample,
}

/// `ktstr samples`.
///
/// # Errors
/// A file that is no recording.
pub(crate) fn samples_of_file(args: &SamplesArgs) -> Result<Verdict, Box<dyn Error>> {
    let recording = Recording::read(&args.recording)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    // A reader that has gone away is no failure.
    let _ = lines(&recording)?.iter().try_for_each(|line| writeln!(out, "{line}"));
    let _ = out.flush();
    Ok(Verdict::Pass)
}

fn lines(recording: &Recording) -> serde_json::Result<Vec<String>> {
    let case = &recording.header.case;
    let mut about = About {
        case: &case.name,
        monitor: case.monitor.as_ref(),
        slide: None,
        events: &[],
        absent: &[],
        unreadable: Vec::new(),
        problem: None,
    };
    for (_, event) in recording.host_events() {
        match event {
            HostEvent::Monitored { slide, events, absent } => {
                (about.slide, about.events, about.absent) = (Some(*slide), events, absent);
            }
            HostEvent::SeriesUnreadable { series, problem } => about.unreadable.push((series, problem)),
            HostEvent::Unmonitored { problem } => about.problem = Some(problem),
            _ => {}
        }
    }
    let samples = recording.samples().map(|(at, sample)| serde_json::to_string(&Line { at, sample }));
    std::iter::once(serde_json::to_string(&about)).chain(samples).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::sample::{CpuSample, SeriesValue};
    use ktstr_recording::{Entry, HostNanos};
    use ktstr_testing::history::history;

    #[test]
    fn each_line_is_json() {
        let mut recording = history("1n1l1c1t", "a: cpu_spin x1\nhold 1s").recording();
        let monitored = HostEvent::Monitored { slide: 0, events: vec!["SCX_EV_A".into()], absent: vec![] };
        let cpus = vec![CpuSample { cpu: 0, nr_running: 3, ..CpuSample::default() }];
        let sample = Sample { cpus, series: vec![SeriesValue::Number(i128::from(u64::MAX))], ..Sample::default() };
        let before = lines(&recording).expect("is JSON");
        assert!(before[0].contains(r#""slide":null"#), "{}", before[0]);
        let unreadable = HostEvent::SeriesUnreadable { series: "v".into(), problem: "no `v`".into() };
        recording.entries.extend([monitored, unreadable].map(|event| Entry::Host(HostNanos(1), event)));
        recording.entries.push(Entry::Sample(GuestNanos(7), Box::new(sample)));
        let lines = lines(&recording).expect("is JSON");
        assert_eq!(lines.len(), 2);
        for part in [r#""slide":0,"events":["SCX_EV_A"]"#, r#""unreadable":[["v","no `v`"]]"#] {
            assert!(lines[0].contains(part), "{}", lines[0]);
        }
        for part in [r#""at":7"#, r#""nr_running":3"#, r#""series":[{"number":18446744073709551615}]"#] {
            assert!(lines[1].contains(part), "{}", lines[1]);
        }
    }
}
