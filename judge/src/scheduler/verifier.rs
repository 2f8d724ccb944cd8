//! A refusal by the kernel's verifier, as libbpf prints it:
//!
//! ```text
//! libbpf: prog 'mine_dispatch': BPF program load failed: -EACCES
//! libbpf: prog 'mine_dispatch': -- BEGIN PROG LOAD LOG --
//! 0: R1=ctx() R10=fp0
//! …                                        instructions and states, up to where it gave up
//! R1 invalid mem access 'scalar'           why
//! processed 12 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
//! -- END PROG LOAD LOG --
//! ```
//!
//! Newer kernels (7.3) explain the refusal after that line, from `Verification failed: …` on: the reason, where in the source, how it
//! came to that, what to do.

use super::output::cut;
use ktstr_model::scheduler::OutputLine;
use ktstr_model::GuestNanos;

/// Lines of the log that are shown.
const SHOWN: usize = 8;
/// Lines of the kernel's own explanation that are shown.
const EXPLAINED: usize = 10;
/// Longest loop that is recognized, in lines.
const LOOP_MAX: usize = 64;

/// What the verifier said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) at: GuestNanos,
    pub(super) program: String,
    /// Its last word before it counts what it has looked at.
    pub(super) reason: String,
    /// The last lines of the log, loops collapsed.
    pub(super) lines: Vec<String>,
}

/// The first refusal that was printed.
pub(super) fn refusal(output: &[(GuestNanos, &OutputLine)]) -> Option<Refusal> {
    let begin = |text: &str| text.contains("BEGIN PROG LOAD LOG");
    let failed = |text: &str| text.contains("BPF program load failed");
    let first = output.iter().position(|(_, line)| begin(&line.text) || failed(&line.text))?;
    let (at, line) = output.get(first)?;
    let program =
        line.text.split_once("prog '").and_then(|(_, rest)| rest.split_once('\'')).map_or("?", |(name, _)| name);
    let log = output.iter().skip(first).map(|(_, line)| line.text.as_str()).skip_while(|text| !begin(text)).skip(1);
    let log: Vec<&str> = log.take_while(|text| !text.contains("END PROG LOAD LOG")).collect();
    let is_count = |line: &&str| line.starts_with("processed ") && line.contains(" insns");
    let is_explained = |line: &&str| line.starts_with("Verification failed");
    let end = log.iter().position(|line| is_count(line) || is_explained(line)).unwrap_or(log.len());
    let said: Vec<&str> = log.iter().take(end).copied().filter(|line| !line.trim().is_empty()).collect();
    let short = || line.text.rsplit_once(": ").map_or(line.text.as_str(), |(_, reason)| reason);
    let reason = cut(said.last().copied().unwrap_or_else(short));
    let mut lines = collapse(&said);
    lines.drain(..lines.len().saturating_sub(SHOWN));
    let explanation = log.iter().skip(end).take_while(|line| !line.starts_with("Causal path:") && !is_count(line));
    lines.extend(explanation.filter(|line| !line.trim().is_empty()).take(EXPLAINED).map(|line| cut(line)));
    lines.extend(log.iter().copied().find(is_count).map(cut));
    Some(Refusal { at: *at, program: program.into(), reason, lines })
}

/// The instruction of a line, without the state of registers that follows it and that differs from turn to turn.
fn instruction(line: &str) -> &str {
    line.split("; R").next().unwrap_or(line).trim_end()
}

/// Lines in which what repeats itself stands once, with how often it came.
fn collapse(lines: &[&str]) -> Vec<String> {
    let same = |a: usize, b: usize, length: usize| {
        let part = |from: usize| lines.get(from..from + length);
        match (part(a), part(b)) {
            (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| instruction(a) == instruction(b)),
            _ => false,
        }
    };
    let mut collapsed = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let length = (1..=LOOP_MAX).find(|length| same(at, at + length, *length));
        let turns = length.map_or(1, |length| {
            let more = (1..).take_while(|turn| same(at, at + turn * length, length)).count();
            more + 1
        });
        let length = length.unwrap_or(1);
        collapsed.extend(lines.iter().skip(at).take(length).map(|line| cut(line)));
        if turns > 1 {
            let what = if length == 1 { "this line".to_owned() } else { format!("these {length} lines") };
            collapsed.push(format!("[{what} {turns} times]"));
        }
        at += length * turns;
    }
    collapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_stands_once() {
        let lines =
            ["0: a ; R1=0", "1: b", "2: c ; R1=1", "1: b", "2: c ; R1=2", "1: b", "2: c ; R1=3", "3: d", "3: d"];
        assert_eq!(
            collapse(&lines),
            ["0: a ; R1=0", "1: b", "2: c ; R1=1", "[these 2 lines 3 times]", "3: d", "[this line 2 times]"]
        );
        assert_eq!(collapse(&[]), Vec::<String>::new());
    }
}
