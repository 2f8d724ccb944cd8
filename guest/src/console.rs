//! Lines on the console, for those who read a log when the ring could not be reached.

use std::io::Write;

/// Prints a line with the program's name; a console that cannot be written is no failure.
pub fn say(line: &str) {
    let program = std::env::args().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    // PID 1 is called /init.
    let name = if name == "init" { "ktstr-init" } else { name };
    let _ = std::io::stderr().write_all(format!("{name}: {line}\n").as_bytes());
}
