//! The command line.

use crate::backend::BackendArg;
use clap::{Args, Parser, Subcommand};
use ktstr_model::Clock;
use std::path::PathBuf;

/// Tests for Linux schedulers that boot a real kernel for every case.
#[derive(Debug, Parser)]
#[command(name = "ktstr", version)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the cases of a declaration without Bazel.
    Run(RunArgs),
    /// Runs the case of a recording again and compares. Exit status 0: equal, 1: not, or not known to be.
    Replay(ReplayArgs),
    /// Judges a recording again, without a machine.
    Judge(JudgeArgs),
    /// Prints the report of recordings again, and makes their page.
    Report(ReportArgs),
    /// Prints the context switches of a recording, if the test asked for them, or writes what Perfetto opens.
    Trace(TraceArgs),
    /// Prints what a recording has of the guest's kernel when the machine hung or the scheduler died.
    Dump(DumpArgs),
    /// Prints what the host saw of the guest's kernel, one line of JSON for each time.
    Samples(SamplesArgs),
    /// Unpacks and checks a kernel, so that machines can boot it directly.
    Kernel(KernelArgs),
    /// Boots a kernel and saves the machine, so that cases can start from there.
    Snapshot(SnapshotArgs),
    /// Says what this machine offers to tests: KVM, CPUs, memory, space.
    Preflight(PreflightArgs),
    /// Boots a machine for a person, with a shell on this terminal, or for one command. Exit status: that of the shell or the command, 128 and
    /// the number of the signal that ended it, 125 if it did not come to it.
    Shell(Box<ShellArgs>),
    /// Runs a command on a saved host for virtual machines, as the rule for tests there asks for it.
    #[command(hide = true)]
    Nested(NestedArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SamplesArgs {
    /// The recording.
    pub(crate) recording: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct NestedArgs {
    /// What runs where.
    #[arg(long)]
    pub(crate) request: PathBuf,
    /// Added to the command.
    #[arg(last = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// A bzImage or an ELF vmlinux with a PVH entry.
    #[arg(long)]
    pub(crate) kernel: PathBuf,
    #[command(flatten)]
    pub(crate) options: ShellOptions,
    /// Added to the kernel's command line. May be given more than once.
    #[arg(long = "kernel-arg", value_name = "ARGUMENT")]
    pub(crate) kernel_args: Vec<String>,
    /// The tools in the guest: a static busybox; by default the one on PATH.
    #[arg(long, value_name = "FILE")]
    pub(crate) busybox: Option<PathBuf>,
    /// What runs the machine: by default KVM where the host's is genuine, otherwise the emulator.
    #[arg(long, value_enum, hide_possible_values = true, value_name = "auto|kvm|tcg", default_value = "auto")]
    pub(crate) backend: BackendArg,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    /// Arguments of the scheduler.
    #[arg(last = true, requires = "scheduler", value_name = "SCHEDULER ARGUMENTS")]
    pub(crate) scheduler_args: Vec<String>,
}

/// What `bazel run <test>.shell` takes.
#[derive(Debug, Parser)]
#[command(about = "Boots the machine of a test for a person, with a shell on this terminal, or for one command.")]
pub(crate) struct TestShellArgs {
    #[command(flatten)]
    pub(crate) options: ShellOptions,
    /// The flag profile of the scheduler, as in names of cases; by default the first one of the test.
    #[arg(long)]
    pub(crate) profile: Option<String>,
}

/// What any shell is asked for.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShellOptions {
    /// The machine, as in names of cases: NUMA nodes, LLCs, cores of an LLC, threads of a core, such as 1n2l4c2t. By default the first one of
    /// the test; without a test 1n1l2c1t.
    #[arg(long)]
    pub(crate) topology: Option<String>,
    /// Runs CMD by `sh -c` in place of a shell for a person: its output is that of this program, and its exit status, too.
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,
    /// Puts FILE into the guest as GUEST, an absolute path. May be given more than once.
    #[arg(long = "file", value_name = "GUEST=FILE", value_parser = guest_file)]
    pub(crate) files: Vec<(String, PathBuf)>,
    /// Does not attach the scheduler. It is in the guest all the same, in /run/ktstr/bin.
    #[arg(long, visible_alias = "no-scheduler")]
    pub(crate) detached: bool,
    /// What guest time follows: real, or virtual with --exec.
    #[arg(long, default_value = "real", value_parser = clock)]
    pub(crate) clock: Clock,
    /// Seconds after which the machine is ended.
    #[arg(long)]
    pub(crate) timeout: Option<u64>,
}

fn clock(text: &str) -> Result<Clock, String> {
    let clock = [Clock::Real, Clock::Virtual].into_iter().find(|clock| clock.name() == text);
    clock.ok_or_else(|| "it is real or virtual".into())
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The declaration, as `ktstr_test` writes it.
    pub(crate) spec: PathBuf,
    /// A bzImage or an ELF vmlinux with a PVH entry.
    #[arg(long)]
    pub(crate) kernel: PathBuf,
    /// What runs the machines, in place of what the declaration says. Without either, auto: KVM where the host's is genuine and no machine is
    /// under the virtual clock, otherwise the emulator.
    #[arg(long, value_enum, hide_possible_values = true, value_name = "auto|kvm|tcg")]
    pub(crate) backend: Option<BackendArg>,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    /// Directory for recordings, report.json, build_events.json and junit.xml.
    #[arg(long, default_value = "ktstr-out")]
    pub(crate) output: PathBuf,
    /// Seconds after which the run is ended.
    #[arg(long)]
    pub(crate) timeout: Option<u64>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Arguments of the scheduler, in place of those of the declaration.
    #[arg(last = true, requires = "scheduler", value_name = "SCHEDULER ARGUMENTS")]
    pub(crate) scheduler_args: Vec<String>,
}

/// What a case is made of besides a kernel, where no test says it.
#[derive(Debug, Clone, Args)]
pub(crate) struct InputArgs {
    /// The kernel's .config: checked before anything boots, and put where a scheduler looks for it.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// A qemu-system-x86_64; by default the one on PATH.
    #[arg(long)]
    pub(crate) emulator: Option<PathBuf>,
    /// Directory with `ktstr-init` and `ktstr-agent`; by default that of this program.
    #[arg(long)]
    pub(crate) guest: Option<PathBuf>,
    /// Directory for snapshots, which are made when they are first wanted; by default `snapshots` in the directory of the recordings.
    #[arg(long)]
    pub(crate) snapshots: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) scheduler: SchedulerFiles,
}

/// The scheduler under test.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SchedulerFiles {
    /// The program of the sched_ext scheduler under test. Libraries that it needs are taken from this machine.
    #[arg(long, value_name = "FILE")]
    pub(crate) scheduler: Option<PathBuf>,
    /// A file that the scheduler reads, and its path in the guest. May be given more than once.
    #[arg(long, value_name = "GUEST=FILE", requires = "scheduler", value_parser = guest_file)]
    pub(crate) scheduler_file: Vec<(String, PathBuf)>,
    /// A directory in which libraries of the scheduler are looked for before those of this machine. May be given more than once.
    #[arg(long, value_name = "DIRECTORY", requires = "scheduler")]
    pub(crate) scheduler_libraries: Vec<PathBuf>,
}

/// `/etc/layers.json=layers.json`.
fn guest_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((guest, file)) if guest.starts_with('/') && !file.is_empty() => Ok((guest.into(), file.into())),
        _ => Err("it is the path in the guest and a file, such as /etc/layers.json=layers.json".into()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A recording (`.ktstr`); its case is the one that runs.
    pub(crate) recording: PathBuf,
    /// The kernel that was booted. A case that starts from a snapshot needs it only for samples of it.
    #[arg(long)]
    pub(crate) kernel: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inputs: InputArgs,
    /// Directory for what the replays leave, each in a directory of its own: `1`, `2` and so on.
    #[arg(long, default_value = "ktstr-replay")]
    pub(crate) output: PathBuf,
    /// How often.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: u32,
    /// Seconds after which the replay is ended.
    #[arg(long)]
    pub(crate) timeout: Option<u64>,
}

/// Which cases; also taken by the executable of a test (`--test_arg`).
#[derive(Debug, Default, Args)]
pub(crate) struct SelectArgs {
    /// Glob over names of cases; only `*` and `?` are special.
    #[arg(long)]
    pub(crate) filter: Option<String>,
    /// End after the first case that is red.
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// The seed for a declaration that says `seed = "random"`.
    #[arg(long)]
    pub(crate) random_seed: Option<u64>,
}

/// What the executable of a test takes.
#[derive(Debug, Parser)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Runs the case of this recording again, instead of the test's cases, and compares.
    #[arg(long, value_name = "RECORDING", conflicts_with_all = ["filter", "fail_fast", "random_seed"])]
    pub(crate) replay: Option<PathBuf>,
    /// How often the recording is replayed.
    #[arg(long, requires = "replay", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) times: u32,
    /// Directory for what the replays leave; by default `ktstr-replay`, or the outputs of the test.
    #[arg(long, requires = "replay")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct JudgeArgs {
    /// A recording (`.ktstr`).
    pub(crate) recording: PathBuf,
    /// A bound in place of the recorded one: `max_gap=1us`, `isolation=off`. May be given more than once.
    #[arg(long = "check", value_name = "NAME=BOUND")]
    pub(crate) checks: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PreflightArgs {
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit status 3 if there is no genuine KVM.
    #[arg(long)]
    pub(crate) requires_kvm: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Recordings (`.ktstr`).
    #[arg(required = true, value_name = "RECORDING")]
    pub(crate) recordings: Vec<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Writes the page of them all, too.
    #[arg(long, value_name = "PAGE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// A recording (`.ktstr`).
    pub(crate) recording: PathBuf,
    /// Writes a trace that Perfetto opens to this file, and prints nothing: context switches, samples, steps, findings.
    #[arg(long, value_name = "TRACE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// A recording (`.ktstr`).
    pub(crate) recording: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KernelArgs {
    /// A bzImage or an ELF vmlinux.
    #[arg(long)]
    pub(crate) image: PathBuf,
    /// Its .config: options that are needed are checked.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Where the prepared kernel goes.
    #[arg(long)]
    pub(crate) output: PathBuf,
    /// Where what is known of it goes, as JSON.
    #[arg(long)]
    pub(crate) info: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// What it is of, as the rule for snapshots writes it.
    #[arg(long)]
    pub(crate) request: PathBuf,
    /// Where the snapshot goes.
    #[arg(long)]
    pub(crate) output: PathBuf,
}
