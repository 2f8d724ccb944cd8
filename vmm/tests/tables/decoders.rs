//! Runs the programs that decode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "KTSTR_DECODERS";

/// Runs a decoder in a directory; what it says must be without complaint.
pub(crate) fn decode(name: &str, directory: &Path, arguments: &[&str]) -> String {
    let output = command(name).args(arguments).current_dir(directory).output().expect("starts");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{said}", output.status);
    said
}

/// The decoder; by the dynamic linker that came with it, if one did.
fn command(name: &str) -> Command {
    let Ok(paths) = std::env::var(VARIABLE) else {
        panic!("{VARIABLE} is not set: the paths of iasl and cpuid, separated by spaces");
    };
    let paths: Vec<PathBuf> = paths.split(' ').map(|path| std::path::absolute(path).expect("a path")).collect();
    let named = |name: &str| paths.iter().find(|path| path.ends_with(name));
    let program = named(name).unwrap_or_else(|| panic!("{VARIABLE} has no {name}: {paths:?}"));
    let (Some(linker), Some(library)) = (named("ld-linux-x86-64.so.2"), named("libc.so.6")) else {
        return Command::new(program);
    };
    let mut command = Command::new(linker);
    command.arg("--library-path").arg(library.parent().expect("a directory")).arg(program);
    command
}

/// What stands before and after a separator in each line, of a text or of a part of it; the first one counts.
pub(crate) fn values<'a>(lines: impl IntoIterator<Item = &'a str>, separator: &str) -> BTreeMap<&'a str, &'a str> {
    let mut values = BTreeMap::new();
    for line in lines {
        // Offsets that iasl prints before the names.
        let line = line.split_once(']').filter(|_| line.starts_with('[')).map_or(line, |(_, rest)| rest);
        if let Some((name, value)) = line.split_once(separator) {
            values.entry(name.trim()).or_insert(value.trim());
        }
    }
    values
}

/// The parts of a text, each from a line that begins one; what is before the first one is not among them.
pub(crate) fn parts(text: &str, begins: impl Fn(&str) -> bool) -> Vec<Vec<&str>> {
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        if begins(line) {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    parts
}
