//! The command line.

use std::str::FromStr;

use clap::Parser;

use crate::control::Knob;

/// Small sched_ext schedulers with faults on purpose. Without arguments: one global queue, first in, first out.
#[derive(Debug, Parser)]
#[command(name = "scx-ktstr", version)]
pub(crate) struct Args {
    /// A queue for each last-level cache, ordered by weighted virtual time
    #[arg(long)]
    pub(crate) llc: bool,
    /// CPUs take tasks from the queues of other last-level caches
    #[arg(long, requires = "llc")]
    pub(crate) steal: bool,
    /// How long a task runs at most before others get their turn
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pub(crate) slice_us: u64,
    /// After how long without running the kernel's watchdog calls a runnable task stalled; 0 leaves that to the kernel
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, overrides_with = "timeout_ms", value_parser = clap::value_parser!(u32).range(..=30_000))]
    pub(crate) timeout_ms: u32,
    /// A fault, from the start or from the moment it is about; NAME or NAME=N, may be repeated
    #[arg(long, value_name = "FAULT")]
    pub(crate) fault: Vec<Fault>,
    /// Tasks whose names start with this (drop, one-cpu, starve-kthreads, wrap), or tasks in a cgroup whose name does (starve); at most 15 bytes
    #[arg(long, value_name = "NAME", default_value = "", value_parser = target)]
    pub(crate) target: String,
    /// Do not start a scheduler: set a knob of the one that runs. KNOB=N, 0 is off
    #[arg(long, value_name = "KNOB=N", conflicts_with_all = ["llc", "fault"])]
    pub(crate) switch: Option<Setting>,
}

impl Args {
    /// Whether a fault of user space was asked for; with its number.
    pub(crate) fn user_fault(&self, wanted: UserFault) -> Option<u64> {
        self.fault.iter().find_map(|fault| match fault {
            Fault::User(name, number) if *name == wanted => Some(*number),
            _ => None,
        })
    }
}

/// What is done wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// By the BPF programs.
    Knob(Setting),
    /// By the loader.
    User(UserFault, u64),
}

/// What the loader can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserFault {
    /// Loads the object that the verifier refuses.
    Verifier,
    /// Panics before it loads.
    PanicLoad,
    /// Panics when it is attached and so many tasks were dispatched.
    PanicRun,
    /// Stops without being told to when so many tasks were dispatched.
    Exit,
    /// Has loaded, and attaches never.
    Hang,
    /// Keeps all CPUs busy while it is being attached.
    Busy,
    /// Prints an error when it is attached, and goes on.
    ErrorLine,
}

const USER_FAULTS: [(&str, UserFault); 7] = [
    ("verifier", UserFault::Verifier),
    ("panic-load", UserFault::PanicLoad),
    ("panic-run", UserFault::PanicRun),
    ("exit", UserFault::Exit),
    ("hang", UserFault::Hang),
    ("busy", UserFault::Busy),
    ("error-line", UserFault::ErrorLine),
];

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let (name, number) = name_and_number(text, 1)?;
        if let Some((_, fault)) = USER_FAULTS.iter().find(|(known, _)| *known == name) {
            return Ok(Fault::User(*fault, number));
        }
        Ok(Fault::Knob(Setting { knob: fault_knob(name)?, value: number }))
    }
}

/// A knob and what it is set to.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) knob: Knob,
    pub(crate) value: u64,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let (name, value) = name_and_number(text, 1)?;
        Ok(Setting { knob: fault_knob(name)?, value })
    }
}

fn fault_knob(name: &str) -> Result<Knob, String> {
    Knob::FAULTS.iter().find(|(known, _)| *known == name).map(|(_, knob)| *knob).ok_or_else(|| {
        let knobs = Knob::FAULTS.iter().map(|(name, _)| *name);
        let all: Vec<&str> = knobs.chain(USER_FAULTS.iter().map(|(name, _)| *name)).collect();
        format!(
            "no fault is named {name}; there are {} (the last {} only from the start)",
            all.join(", "),
            USER_FAULTS.len()
        )
    })
}

fn name_and_number(text: &str, default: u64) -> Result<(&str, u64), String> {
    match text.split_once('=') {
        None => Ok((text, default)),
        Some((name, number)) => match number.parse() {
            Ok(number) => Ok((name, number)),
            Err(e) => Err(format!("{number} is not a number: {e}")),
        },
    }
}

fn target(name: &str) -> Result<String, String> {
    if name.len() > 15 {
        return Err(format!("{} bytes; the kernel keeps only 15 of a task's name", name.len()));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(args: &[&str]) -> String {
        match Args::try_parse_from(["scx-ktstr"].iter().chain(args)) {
            Ok(args) => panic!("accepted: {args:?}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn stealing_needs_queues() {
        let message = refused(&["--steal"]);
        assert!(message.contains("--llc"), "{message}");
    }

    #[test]
    fn an_unknown_fault_is_refused_with_the_known_ones() {
        let message = refused(&["--fault", "drip"]);
        assert!(message.contains("no fault is named drip; there are drop, error,"), "{message}");
    }

    #[test]
    fn a_name_that_no_task_can_have_is_refused() {
        let message = refused(&["--target", "sixteen-bytes-is"]);
        assert!(message.contains("keeps only 15"), "{message}");
    }

    #[test]
    fn faults_have_numbers() {
        let args = Args::try_parse_from(["scx-ktstr", "--fault", "error=7", "--fault", "exit=9", "--fault", "hang"]);
        let args = args.expect("these are right");
        assert!(matches!(args.fault[0], Fault::Knob(Setting { knob: Knob::Error, value: 7 })));
        assert_eq!(args.user_fault(UserFault::Exit), Some(9));
        assert_eq!(args.user_fault(UserFault::Hang), Some(1));
        assert_eq!(args.user_fault(UserFault::Verifier), None);
    }
}
