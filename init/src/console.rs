//! Lines on the console, for those who read a log when the ring could not be reached.

use std::io::Write;

/// Prints a line with the program's name; a console that cannot be written is no failure.
pub fn say(line: &str) {
    let program = std::env::args().next().unwrap_or_default();
    // Under the names that they have in the guest.
    let name = match program.rsplit('/').next().unwrap_or_default() {
        "init" => "ktstr-init",
        "agent" => "ktstr-agent",
        other => other,
    };
    let _ = std::io::stderr().write_all(format!("{name}: {line}\n").as_bytes());
}
