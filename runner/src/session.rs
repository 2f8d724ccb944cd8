//! One run of a target from its beginning to its exit status, under Bazel or from the command line.

use crate::bazel::TestProtocol;
use crate::cli::{RunArgs, SelectArgs};
use crate::execute::Executor;
use crate::inputs::{self, Emulator, InputPaths};
use crate::launch::Launch;
use crate::planning::{self, PlanError, Planned, Selection};
use crate::report::{Console, Progress, ReportFiles, Reporter, RunEvent, TargetReport};
use crate::run::Run;
use crate::select::{Filter, Shard};
use crate::stop::Stop;
use ktstr_model::{Backend, Verdict};
use ktstr_vmm::{MachineBackend, TcgBackend};
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that a run is asked for.
struct Session<'a> {
    spec: PathBuf,
    inputs: InputPaths,
    /// Label of the target; none: the name in the declaration.
    target: Option<String>,
    filter: Option<Filter>,
    shard: Shard,
    fail_fast: bool,
    random_seed: u64,
    stop: Stop,
    scratch: PathBuf,
    /// Directory for recordings.
    recordings: PathBuf,
    files: ReportFiles,
    rerun: &'a dyn Fn(&str) -> String,
}

/// Runs a test as Bazel asks for it.
///
/// # Errors
/// What cannot be planned or reported.
pub(crate) fn test(file: &Path, program: &Path, select: &SelectArgs) -> Result<Verdict, Box<dyn Error>> {
    let environment = |name: &str| std::env::var_os(name);
    let protocol = TestProtocol::read(environment)?;
    let stop = Stop::install(protocol.timeout)?;
    protocol.begin()?;
    let launch = Launch::read(file, program, environment)?;
    let label = protocol.target.clone().unwrap_or_else(|| program.display().to_string());
    let rerun = |case: &str| format!("bazel test {label} --test_output=all --test_filter='{case}'");
    let outputs = protocol.outputs.clone();
    let scratch = tempfile::Builder::new().prefix("ktstr-").tempdir_in(&protocol.scratch)?;
    let session = Session {
        spec: launch.spec,
        inputs: launch.inputs,
        target: protocol.target.clone(),
        filter: select.filter.as_deref().map(Filter::new).or(protocol.filter.clone()),
        shard: protocol.shard,
        fail_fast: protocol.fail_fast || select.fail_fast,
        random_seed: random_seed(select.random_seed.or(protocol.random_seed)),
        stop,
        recordings: outputs.clone().unwrap_or_else(|| scratch.path().to_owned()),
        scratch: scratch.path().to_owned(),
        files: ReportFiles { xml: protocol.xml.clone(), directory: outputs },
        rerun: &rerun,
    };
    let report = session.run()?;
    if let Some(finding) = infrastructure(&report) {
        protocol.infrastructure_failure(finding.cause.name(), &finding.measured)?;
    }
    protocol.warnings(&report.warnings)?;
    protocol.end()?;
    Ok(report.verdict)
}

/// Runs a declaration from the command line.
///
/// # Errors
/// What cannot be planned or reported.
pub(crate) fn run(args: &RunArgs) -> Result<Verdict, Box<dyn Error>> {
    std::fs::create_dir_all(&args.output)
        .map_err(|error| format!("cannot make the directory {}: {error}", args.output.display()))?;
    let scratch = tempfile::Builder::new().prefix("ktstr-").tempdir()?;
    let (kernel, kernel_info) = (scratch.path().join("prepared"), scratch.path().join("prepared.json"));
    inputs::prepare_kernel(&args.kernel, args.config.as_deref(), &kernel, Some(&kernel_info))?;
    let guest = match &args.guest {
        Some(directory) => directory.clone(),
        None => std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default(),
    };
    let (spec, image) = (args.spec.display(), args.kernel.display());
    let rerun = |case: &str| format!("ktstr run {spec} --kernel {image} --filter '{case}'");
    let session = Session {
        spec: args.spec.clone(),
        inputs: InputPaths {
            kernel,
            kernel_info: Some(kernel_info),
            init: guest.join("ktstr-init"),
            agent: guest.join("ktstr-agent"),
            emulator: plain_emulator(args.emulator.as_deref(), std::env::var_os("PATH"))?,
        },
        target: None,
        filter: args.select.filter.as_deref().map(Filter::new),
        shard: Shard::WHOLE,
        fail_fast: args.select.fail_fast,
        random_seed: random_seed(args.select.random_seed),
        stop: Stop::install(args.timeout.map(Duration::from_secs))?,
        scratch: scratch.path().to_owned(),
        recordings: args.output.clone(),
        files: ReportFiles { xml: Some(args.output.join("junit.xml")), directory: Some(args.output.clone()) },
        rerun: &rerun,
    };
    Ok(session.run()?.verdict)
}

impl Session<'_> {
    fn run(&self) -> Result<TargetReport, Box<dyn Error>> {
        let spec = planning::read_spec(&self.spec)?;
        let backend = backend(spec.backend, &self.inputs.emulator);
        // Refuse what cannot be before the files are read: the declaration is what a user got wrong most often.
        self.plan(&spec, Vec::new(), backend.as_ref())?;
        let inputs = inputs::load(&self.inputs, &self.scratch)?;
        let planned = self.plan(&spec, inputs.hashes.clone(), backend.as_ref())?;
        let target = self.target.as_deref().unwrap_or(&planned.name);
        let run = Run {
            target,
            planned: &planned,
            shard: self.shard,
            fail_fast: self.fail_fast,
            stop: &self.stop,
            files: &self.files,
            rerun: self.rerun,
        };
        let executor = Executor {
            inputs: &inputs,
            backend: backend.as_ref(),
            stop: &self.stop,
            scratch: &self.scratch,
            recordings: &self.recordings,
        };
        let mut reporters = Both { console: Console::new(std::io::stdout()), progress: Progress::new() };
        let (report, written) = run.run(&mut reporters, |case, on_stage| executor.execute(case, on_stage));
        written?;
        Ok(report)
    }

    fn plan(
        &self,
        spec: &ktstr_model::TestSpec,
        hashes: Vec<ktstr_model::case::Input>,
        backend: Option<&dyn MachineBackend>,
    ) -> Result<Planned, PlanError> {
        let selection =
            Selection { filter: self.filter.as_ref(), shard: self.shard, random_seed: self.random_seed };
        planning::plan(spec, hashes, &selection, |topology, clock| {
            backend.check(topology, clock, "topologies")
        })
    }
}
