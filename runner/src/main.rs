//! `ktstr`: plans cases, runs each in a machine of its own, records, judges and reports.
//!
//! ```text
//! spec.json ──planning──▶ [Case] ──select──▶ those of this process
//! Case ──execute──▶ recording file ──recorded──▶ Outcome ──run──▶ report
//! recording file ──replay──▶ the same again, and a comparison
//! ```
//!
//! The executable of every `ktstr_test` is a link to this program: if there is a launch file beside it, it runs that test
//! under Bazel's test protocol ([`bazel`]); otherwise it reads a command line ([`cli`]).

mod bazel;
mod cli;
mod execute;
mod given;
mod image;
mod inputs;
mod launch;
mod planning;
mod recorded;
mod replay;
mod report;
mod rerun;
mod run;
mod scheduler;
mod select;
mod session;
mod skip;
mod snapshot;
mod stop;
mod traced;

use clap::Parser;
use cli::{Command, CommandLine, KernelArgs, TestArgs};
use execute::in_full;
use ktstr_model::Verdict;
use session::SessionError;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit status for what cannot be: a command line, a declaration, a file that is not what it should be.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KTSTR_LOG").unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let program = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let result = match launch::beside(&program) {
        Some(file) => session::test(&file, &program, &TestArgs::parse()).map_err(|error| failed(&error)),
        None => {
            let line = CommandLine::parse();
            as_the_caller();
            command(&line.command)
        }
    };
    match result {
        Ok(verdict) => ExitCode::from(verdict.exit_status()),
        Err((status, message)) => {
            eprintln!("ERROR: {message}");
            ExitCode::from(status)
        }
    }
}

/// `bazel run` starts programs somewhere else; paths are meant to be those of the shell that called it.
fn as_the_caller() {
    if let Some(directory) = std::env::var_os("BUILD_WORKING_DIRECTORY") {
        // If it is not there, relative paths are not either, and each is named when it is opened.
        let _ = std::env::set_current_dir(directory);
    }
}

fn failed(error: &SessionError) -> (u8, String) {
    (error.exit_status(), in_full(error))
}

fn command(command: &Command) -> Result<Verdict, (u8, String)> {
    let usage = |error: Box<dyn Error>| (USAGE, in_full(error.as_ref()));
    match command {
        Command::Run(args) => session::run(args).map_err(|error| failed(&error)),
        Command::Replay(args) => replay::replay(args).map_err(|error| failed(&error)),
        Command::Judge(args) => recorded::judge_file(args).map_err(usage),
        Command::Report(args) => recorded::report_file(args).map_err(usage),
        Command::Trace(args) => traced::trace_file(args).map_err(usage),
        Command::Kernel(args) => kernel(args).map_err(|error| usage(error.into())),
        Command::Snapshot(args) => {
            snapshot::snapshot_file(args).map(|()| Verdict::Pass).map_err(|error| failed(&error))
        }
    }
}

fn kernel(args: &KernelArgs) -> Result<Verdict, inputs::InputError> {
    let info: Option<&Path> = args.info.as_deref();
    inputs::prepare_kernel(&args.image, args.config.as_deref(), &args.output, info).map(|_| Verdict::Pass)
}
