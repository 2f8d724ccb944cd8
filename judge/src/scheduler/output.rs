//! What the user part of a scheduler printed: panics, errors, last words.

use ktstr_model::scheduler::OutputLine;
use ktstr_model::GuestNanos;

/// Words of loggers for a line that is an error.
const LEVELS: [&str; 4] = ["ERROR", "FATAL", "CRIT", "CRITICAL"];
/// Last words that are shown.
const LAST: usize = 6;
/// Longest line that is shown.
const CHARS_MAX: usize = 200;

type Lines<'a> = [(GuestNanos, &'a OutputLine)];

/// A panic of Rust in one line: `src/main.rs:7:5: index out of bounds`.
pub(super) fn panic(output: &Lines<'_>) -> Option<(GuestNanos, String)> {
    let (index, at, rest) = output.iter().enumerate().find_map(|(index, (at, line))| {
        let (_, rest) = line.text.split_once("panicked at ")?;
        Some((index, *at, rest.trim()))
    })?;
    let message = match rest.strip_suffix(':') {
        // From Rust 1.73 on the message has a line of its own.
        Some(place) => {
            let message = output.get(index + 1).map_or("", |(_, line)| line.text.trim());
            format!("{place}: {message}")
        }
        None => rest.to_owned(),
    };
    Some((at, cut(&message)))
}

/// The first line that is an error by its own account. What libbpf says is left out: it tries one thing after another, and tells
/// of each that a kernel does not have.
pub(super) fn first_error(output: &Lines<'_>) -> Option<(GuestNanos, String)> {
    output.iter().find(|(_, line)| is_error(&line.text)).map(|(at, line)| (*at, cut(line.text.trim())))
}

fn is_error(line: &str) -> bool {
    if line.contains("libbpf") {
        return false;
    }
    let line = line.trim_start();
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| LEVELS.contains(&word))
        || ["error:", "Error:", "fatal:"].iter().any(|start| line.starts_with(start))
        || line.contains("panicked at ")
}

/// The last lines, without those of a dump.
pub(super) fn last_words(output: &Lines<'_>) -> Vec<String> {
    let dump = output.iter().position(|(_, line)| line.text.contains("DEBUG DUMP"));
    let spoken = output.get(..dump.unwrap_or(output.len())).unwrap_or_default();
    let lines: Vec<&str> =
        spoken.iter().map(|(_, line)| line.text.trim_end()).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST)..).unwrap_or_default();
    last.iter().map(|line| format!("| {}", cut(line))).collect()
}

/// The error that ended it, by its own account: the last line that says so, or the last one at all.
pub(super) fn reason(output: &Lines<'_>) -> Option<String> {
    let errors = output.iter().rev().find(|(_, line)| is_error(&line.text));
    errors.map(|(_, line)| cut(line.text.trim()))
}

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
