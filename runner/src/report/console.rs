//! The report that people read: a line for each case, what failed and where, and how to run it again.

use super::{CaseReport, Reporter, RunEvent, TargetReport};
use ktstr_model::{Finding, Verdict};
use std::io::Write;

/// Prints to a stream.
#[derive(Debug)]
pub(crate) struct Console<W> {
    out: W,
}

impl<W: Write> Console<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    /// A reader that has gone away must not end the run: its files are still to be written.
    fn print(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", printable(text)).and_then(|()| self.out.flush());
    }
}

impl<W: Write> Reporter for Console<W> {
    fn report(&mut self, event: &RunEvent<'_>) {
        match event {
            RunEvent::Planned { target, selected, planned } => {
                self.print(&format!("{target}: {} of {planned} cases", selected.len()));
            }
            RunEvent::CaseFinished { report } => {
                self.print(&case_line(report));
                report.warnings.iter().for_each(|text| self.print(&warning(text)));
                if report.verdict.is_red() {
                    self.print(&details(report));
                }
            }
            RunEvent::Warning { text } => self.print(&warning(text)),
            RunEvent::Finished { report } => self.print(&summary(report)),
            RunEvent::Replayed { replayed } => self.print(&replayed.to_string()),
            RunEvent::AllReplayed { equal, times } => self.print(&format!("{equal} of {times} replays are equal")),
            RunEvent::CaseStarted { .. } | RunEvent::CaseStage { .. } => {}
        }
    }
}

/// Much of the text comes from a guest, which must not steer the terminal of whoever reads it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn warning(text: &str) -> String {
    format!("WARNING: {text}")
}

fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Skipped => "SKIP",
        Verdict::Unknown => "UNKNOWN",
        Verdict::Infrastructure => "INFRA",
        Verdict::Fail => "FAIL",
    }
}

/// One line: verdict, name, time, where it ran, and what its checks measured.
fn case_line(report: &CaseReport) -> String {
    let numbers: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Pass || finding.verdict == Verdict::Skipped)
        .map(|finding| finding.measured.clone())
        .collect();
    let CaseReport { name, backend, clock, start, .. } = report;
    let line = format!(
        "{:<7} {name}  {:.1}s  {backend}/{clock}/{start}  {}",
        label(report.verdict),
        report.timings.total(),
        numbers.join(", ")
    );
    line.trim_end().to_owned()
}

/// What is wrong in one line: "max_gap: gap of 812.3ms, at most 500ms (test)". What is found of a scheduler names its cause itself.
pub(super) fn headline(finding: &Finding) -> String {
    if finding.cause.is_of_scheduler() {
        return finding.measured.clone();
    }
    let name = finding.check.as_deref().unwrap_or(finding.cause.name());
    let mut line = format!("{name}: {}", finding.measured);
    if !finding.bound.is_empty() {
        line += &format!(", {}", finding.bound);
    }
    if let Some(origin) = finding.origin {
        line += &format!(" ({})", origin.name());
    }
    line
}

/// Everything that a reader needs to know of a red case.
pub(super) fn details(report: &CaseReport) -> String {
    let mut lines = Vec::new();
    for finding in report.red_findings() {
        lines.push(format!("  {}", headline(finding)));
        let place = place(finding);
        if !place.is_empty() {
            lines.push(format!("    {place}"));
        }
        lines.extend(finding.explanation.lines().map(|line| format!("    {line}")));
    }
    if !report.console.is_empty() {
        lines.push("  last console lines:".into());
        lines.extend(report.console.iter().map(|line| format!("  | {line}")));
    }
    if let Some(recording) = &report.recording {
        lines.push(format!("  recording: {recording}"));
        lines.push(format!("  guest:     {} events, sha256 {}", report.guest_events, report.guest_sha256));
    }
    lines.push(format!("  again:     {}", report.rerun));
    lines.extend(report.replay.iter().map(|command| format!("  replay:    {command}")));
    lines.join("\n")
}

fn place(finding: &Finding) -> String {
    let place = &finding.place;
    let phase = finding.cause.is_of_scheduler().then(|| format!("phase {}", finding.phase.name()));
    let parts = [
        phase,
        place.worker.as_ref().map(|worker| format!("worker {worker}")),
        place.cgroup.as_ref().map(|cgroup| format!("cgroup {cgroup}")),
        place.cpu.map(|cpu| format!("CPU {cpu}")),
        place.step.map(|step| format!("step {step}")),
        place.at.map(|at| format!("at {:.6}s of guest time", at.0 as f64 / 1e9)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Counts by verdict.
fn summary(report: &TargetReport) -> String {
    let count = |verdict: Verdict| report.cases.iter().filter(|case| case.verdict == verdict).count();
    let mut parts = vec![format!("{} passed", count(Verdict::Pass)), format!("{} failed", count(Verdict::Fail))];
    for verdict in [Verdict::Skipped, Verdict::Unknown, Verdict::Infrastructure] {
        if count(verdict) > 0 {
            parts.push(format!("{} {}", count(verdict), verdict.name()));
        }
    }
    let seconds: f64 = report.cases.iter().map(|case| case.timings.total()).sum();
    format!("{}: {} in {seconds:.1}s", report.target, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::target;
    use super::*;

    #[test]
    fn every_verdict_reads_well() {
        let report = target();
        let mut console = Console::new(Vec::new());
        report.cases.iter().for_each(|report| console.report(&RunEvent::CaseFinished { report }));
        console.report(&RunEvent::Warning { text: "no case matches" });
        console.report(&RunEvent::Finished { report: &report });
        insta::assert_snapshot!(String::from_utf8(console.out).expect("text"), @r"
        PASS    t[1n1l2c1t][s0]  3.0s  tcg/virtual/boot  spread of 2.1%
        FAIL    t[1n1l2c1t][s1]  3.0s  tcg/virtual/boot  spread of 2.1%
          max_gap: gap of 812.3ms, at most 500ms (test)
            worker cpu_spin/3, cgroup a, CPU 2, step 1, at 3.214000s of guest time
            the worker was runnable and did not run
          last console lines:
          | [    1.5] last words
          recording: t-1n1l2c1t-s0.ktstr
          guest:     27 events, sha256 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
          again:     bazel test //x:t --test_filter='t[1n1l2c1t][s1]'
          replay:    cp bazel-testlogs/x/t/test.outputs/t-1n1l2c1t-s0.ktstr . && bazel run //x:t -- --replay=t-1n1l2c1t-s0.ktstr
        UNKNOWN t[1n1l2c1t][s2]  3.0s  tcg/virtual/boot
          max_wakeup_latency: nothing blocks, p99 at most 1ms (test)
          last console lines:
          | [    1.5] last words
          recording: t-1n1l2c1t-s0.ktstr
          guest:     27 events, sha256 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
          again:     bazel test //x:t --test_filter='t[1n1l2c1t][s2]'
          replay:    cp bazel-testlogs/x/t/test.outputs/t-1n1l2c1t-s0.ktstr . && bazel run //x:t -- --replay=t-1n1l2c1t-s0.ktstr
        INFRA   t[1n1l2c1t][s3]  3.0s  tcg/virtual/boot
          emulator: the emulator ended with status 1
          last console lines:
          | [    1.5] last words
          recording: t-1n1l2c1t-s0.ktstr
          guest:     27 events, sha256 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
          again:     bazel test //x:t --test_filter='t[1n1l2c1t][s3]'
          replay:    cp bazel-testlogs/x/t/test.outputs/t-1n1l2c1t-s0.ktstr . && bazel run //x:t -- --replay=t-1n1l2c1t-s0.ktstr
        SKIP    t[1n1l2c1t][s4]  3.0s  tcg/virtual/boot  not run after the first failure
        WARNING: no case matches
        //x:t: 1 passed, 1 failed, 1 skipped, 1 unknown, 1 infrastructure in 15.2s
        ");
    }

    #[test]
    fn a_case_has_its_warnings_green_or_red() {
        let mut report = target();
        let mut console = Console::new(Vec::new());
        for case in &mut report.cases[..2] {
            case.warnings = vec!["max_gap: 1us is below what the clock can tell".into()];
            console.report(&RunEvent::CaseFinished { report: case });
        }
        let text = String::from_utf8(console.out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        let warning = "WARNING: max_gap: 1us is below what the clock can tell";
        assert_eq!((lines[1], lines[3]), (warning, warning), "{text}");
    }

    #[test]
    fn a_guest_does_not_steer_the_terminal() {
        let mut console = Console::new(Vec::new());
        console.report(&RunEvent::Warning { text: "\x1b[2J\tgone\r" });
        assert_eq!(String::from_utf8(console.out).expect("text"), "WARNING: \u{fffd}[2J\tgone\u{fffd}\n");
    }

    #[test]
    fn a_reader_that_is_gone_ends_nothing() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        Console::new(Gone).report(&RunEvent::Warning { text: "x" });
    }
}
