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

mod backend;
mod bazel;
mod cli;
mod dumped;
mod execute;
mod given;
mod guest_files;
mod image;
mod inputs;
mod launch;
mod planning;
mod preflight;
mod recorded;
mod replay;
mod report;
mod rerun;
mod run;
mod sampled;
mod scheduler;
mod select;
mod session;
mod shell;
mod skip;
mod snapshot;
mod stop;
mod traced;

use clap::Parser;
use cli::{Command, CommandLine, KernelArgs, TestArgs, TestShellArgs};
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
        Some(file) if launch::is_of_shell(&file) => {
            shell::of_test(&file, &program, &TestShellArgs::parse()).map_err(|error| no_shell(&error))
        }
        Some(file) => status_of(session::test(&file, &program, &TestArgs::parse())),
        None => {
            let line = CommandLine::parse();
            as_the_caller();
            command(&line.command)
        }
    };
    match result {
        Ok(status) => ExitCode::from(status),
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

/// The exit status of a run.
fn status_of(ran: Result<Verdict, SessionError>) -> Result<u8, (u8, String)> {
    ran.map(Verdict::exit_status).map_err(|error| (error.exit_status(), in_full(&error)))
}

/// The exit status of a shell that did not come to one of its own.
fn no_shell(error: &SessionError) -> (u8, String) {
    let status = match error {
        SessionError::Usage(_) => USAGE,
        SessionError::Host(_) => shell::NO_STATUS,
    };
    (status, in_full(error))
}

fn command(command: &Command) -> Result<u8, (u8, String)> {
    let read = |ran: Result<Verdict, Box<dyn Error>>| status_of(ran.map_err(SessionError::Usage));
    match command {
        Command::Run(args) => status_of(session::run(args)),
        Command::Replay(args) => status_of(replay::replay(args)),
        Command::Judge(args) => read(recorded::judge_file(args)),
        Command::Report(args) => read(recorded::report_files(args)),
        Command::Trace(args) => read(traced::trace_file(args)),
        Command::Dump(args) => read(dumped::dump_file(args)),
        Command::Samples(args) => read(sampled::samples_of_file(args)),
        Command::Kernel(args) => read(kernel(args).map_err(Into::into)),
        Command::Snapshot(args) => status_of(snapshot::snapshot_file(args).map(|()| Verdict::Pass)),
        Command::Preflight(args) => status_of(preflight::preflight(args)),
        Command::Shell(args) => shell::shell(args).map_err(|error| no_shell(&error)),
        Command::Nested(args) => shell::nested(args).map_err(|error| no_shell(&error)),
    }
}

fn kernel(args: &KernelArgs) -> Result<Verdict, inputs::InputError> {
    let info: Option<&Path> = args.info.as_deref();
    inputs::prepare_kernel(&args.image, args.config.as_deref(), &args.output, info).map(|_| Verdict::Pass)
}
