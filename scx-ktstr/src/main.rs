//! `scx-ktstr`: the fixture schedulers, with which ktstr tests that it tells schedulers' failures apart.
//!
//! Arguments ([`args`]) say which scheduler and which fault. [`object`] opens its BPF object, sets it up and loads it; [`control`] is the map
//! of knobs by which faults are switched, then and later; [`scheduler`] attaches it and watches it until it is told to stop or the kernel takes
//! it out; [`exit`] prints what the kernel said. The README has the table of faults.

mod args;
mod control;
mod exit;
mod known;
mod object;
mod scheduler;
mod topology;

use std::process::ExitCode;

use args::Args;
use clap::Parser;

/// What goes wrong, in words for a log.
type Problem = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.switch {
        Some(setting) => control::switch(setting).map(|()| ExitCode::SUCCESS),
        None => scheduler::run(&args),
    };
    done.unwrap_or_else(|problem| {
        // With the causes that libbpf-rs keeps apart.
        eprintln!("Error: {problem:#}");
        ExitCode::FAILURE
    })
}
