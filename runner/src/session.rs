//! One run of a target from its beginning to its exit status, under Bazel or from the command line.

use crate::backend::{kvm_of_host, BackendArg, Choice, Taken};
use crate::bazel::TestProtocol;
use crate::cli::{RunArgs, SelectArgs, TestArgs};
use crate::execute::{check_ops, in_full, Executor};
use crate::given::{command_of, given_files, last_words_of, replay_words, snapshots_of, GivenFiles, GivenKernel};
use crate::image::KernelInfo;
use crate::inputs::{self, Emulator, InputPaths, OriginPaths};
use crate::launch::Launch;
use crate::planning::{self, Contents, PlanError, Planned, Selection};
use crate::replay;
use crate::report::{ReportFiles, Reporter, TargetReport, Terminal};
use crate::rerun::Rerun;
use crate::run::Run;
use crate::scheduler::SchedulerPaths;
use crate::select::{Filter, Shard};
use crate::skip::skip;
use crate::snapshot::{Store, ToAttach};
use crate::stop::Stop;
use ktstr_model::spec::{RandomSeed, SeedSpec};
use ktstr_model::{Finding, StartSpec, TestSpec, Verdict};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A run that came to no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// What was asked for cannot be: exit status 2.
    #[error(transparent)]
    Usage(Box<dyn Error>),
    /// What is needed is not there or does not work: exit status 3.
    #[error(transparent)]
    Host(Box<dyn Error>),
}

impl SessionError {
    /// Exit status of the process.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Host(_) => Verdict::Infrastructure.exit_status(),
        }
    }
}

pub(crate) fn usage(error: impl Into<Box<dyn Error>>) -> SessionError {
    SessionError::Usage(error.into())
}

pub(crate) fn host(error: impl Into<Box<dyn Error>>) -> SessionError {
    SessionError::Host(error.into())
}

/// Everything that a run is asked for.
struct Session {
    spec: PathBuf,
    agent: PathBuf,
    /// What the command line says of the back end.
    backend: Option<BackendArg>,
    emulator: Option<Emulator>,
    scheduler: Option<SchedulerPaths>,
    /// The image of the kernel.
    image: Option<PathBuf>,
    /// What is known of the kernel; none: the test does not ask.
    kernel: Option<KernelInfo>,
    /// Arguments of the scheduler in place of those of the declaration.
    scheduler_args: Vec<String>,
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
    rerun: Rerun,
}

/// Runs a test as Bazel asks for it.
///
/// # Errors
/// What cannot be planned, read or reported.
pub(crate) fn test(file: &Path, program: &Path, args: &TestArgs) -> Result<Verdict, SessionError> {
    let environment = |name: &str| std::env::var_os(name);
    let protocol = TestProtocol::read(environment).map_err(usage)?;
    protocol.begin().map_err(host)?;
    let ran = match &args.replay {
        Some(recording) => replay::of_test(&protocol, file, program, args, recording),
        None => under_bazel(&protocol, file, program, &args.select),
    };
    if let Err(SessionError::Host(error)) = &ran {
        protocol.infrastructure_failure("host", &in_full(error.as_ref())).map_err(host)?;
    }
    protocol.end().map_err(host)?;
    ran
}

fn under_bazel(
    protocol: &TestProtocol,
    file: &Path,
    program: &Path,
    select: &SelectArgs,
) -> Result<Verdict, SessionError> {
    let stop = Stop::install(protocol.timeout).map_err(host)?;
    let launch = Launch::read(file, program, |name| std::env::var_os(name)).map_err(host)?;
    let rerun = match protocol.target.clone() {
        Some(label) => Rerun::Bazel { label, flags: launch.flags, kept: protocol.outputs.clone() },
        None => Rerun::Program { words: vec![program.display().to_string()], last: vec![], replay: None },
    };
    let scratch = tempfile::Builder::new().prefix("ktstr-").tempdir_in(&protocol.scratch).map_err(host)?;
    let session = Session {
        spec: launch.spec,
        agent: launch.inputs.agent,
        backend: None,
        emulator: launch.inputs.emulator,
        scheduler: launch.inputs.scheduler,
        image: launch.inputs.image,
        kernel: launch.kernel,
        scheduler_args: vec![],
        target: protocol.target.clone(),
        filter: select.filter.as_deref().map(Filter::new).or(protocol.filter.clone()),
        shard: protocol.shard,
        fail_fast: protocol.fail_fast || select.fail_fast,
        random_seed: random_seed(select.random_seed.or(protocol.random_seed)),
        stop,
        recordings: protocol.outputs.clone().unwrap_or_else(|| scratch.path().to_owned()),
        scratch: scratch.path().to_owned(),
        files: ReportFiles { xml: protocol.xml.clone(), directory: protocol.outputs.clone() },
        rerun,
    };
    let origin = launch.inputs.origin;
    let report = session.run(|_, _, _, _| Ok(origin))?;
    if let Some(finding) = infrastructure(&report) {
        protocol.infrastructure_failure(finding.cause.name(), &finding.measured).map_err(host)?;
    }
    protocol.warnings(&report.warnings).map_err(host)?;
    Ok(report.verdict)
}

/// Runs a declaration from the command line.
///
/// # Errors
/// What cannot be planned, read or reported.
pub(crate) fn run(args: &RunArgs) -> Result<Verdict, SessionError> {
    let stop = Stop::install(args.timeout.map(Duration::from_secs)).map_err(host)?;
    std::fs::create_dir_all(&args.output)
        .map_err(|error| host(format!("cannot make the directory {}: {error}", args.output.display())))?;
    let scratch = tempfile::Builder::new().prefix("ktstr-").tempdir().map_err(host)?;
    let kernel = GivenKernel::new(&args.kernel, args.inputs.config.as_deref(), scratch.path())?;
    let GivenFiles { init, agent, emulator, scheduler } = given_files(&args.inputs);
    let snapshots = snapshots_of(args);
    let session = Session {
        spec: args.spec.clone(),
        agent,
        backend: args.backend,
        emulator,
        scheduler,
        image: Some(kernel.prepared.clone()),
        kernel: Some(kernel.info.clone()),
        scheduler_args: args.scheduler_args.clone(),
        target: None,
        filter: args.select.filter.as_deref().map(Filter::new),
        shard: Shard::WHOLE,
        fail_fast: args.select.fail_fast,
        random_seed: random_seed(args.select.random_seed),
        stop,
        scratch: scratch.path().to_owned(),
        recordings: args.output.clone(),
        files: ReportFiles { xml: Some(args.output.join("junit.xml")), directory: Some(args.output.clone()) },
        rerun: Rerun::Program { words: command_of(args), last: last_words_of(args), replay: Some(replay_words(args)) },
    };
    let report = session.run(|spec, planned, taken, scheduler| match (spec.start, taken.machines()) {
        (StartSpec::Attach | StartSpec::Snapshot, Ok(backend)) if planned.skip.is_none() => {
            let emulator = taken.input(session.emulator.as_ref());
            let store = Store::new(snapshots, &kernel.booted(&spec.kernel_args)?, &init, emulator).map_err(host)?;
            let agent = inputs::read("guest program", &session.agent).map_err(host)?;
            let scheduler = scheduler.filter(|_| spec.start == StartSpec::Snapshot);
            let to_attach = scheduler.map(|scheduler| ToAttach { agent: &agent, scheduler });
            store
                .for_cases(backend, &planned.selected, to_attach, &session.stop)
                .map(OriginPaths::Snapshots)
                .map_err(host)
        }
        // A back end that is not there is an ending of each case, and cases that are skipped start nowhere.
        _ => Ok(OriginPaths::Boot { kernel: kernel.booted(&spec.kernel_args)?, init }),
    })?;
    Ok(report.verdict)
}

impl Session {
    /// `origin` says what machines begin with, once it is known which cases are to run, and under which scheduler.
    fn run(
        &self,
        origin: impl FnOnce(&TestSpec, &Planned, &Taken, Option<&[u8]>) -> Result<OriginPaths, SessionError>,
    ) -> Result<TargetReport, SessionError> {
        let mut spec = planning::read_spec(&self.spec).map_err(usage)?;
        self.put_under_test(&mut spec);
        let choice = Choice::new(self.backend, spec.backend, &spec.clocks, kvm_of_host);
        choice.why.iter().for_each(|why| println!("{why}"));
        spec.backend = Some(choice.backend);
        let taken = Taken::new(choice.backend, self.emulator.as_ref());
        // Refuse what cannot be before the files are read: the declaration is what a user got wrong most often.
        let skip = match &self.kernel {
            Some(kernel) => skip(&spec, kernel).map_err(usage)?,
            None => None,
        };
        let planned = self.plan(&spec, Contents::default(), &taken).map_err(usage)?;
        let planned = Planned { skip: skip.clone(), ..planned };
        let under_test = planned.selected.iter().find_map(|case| case.plan.scheduler.as_ref());
        let scheduler = inputs::load_scheduler(self.scheduler.as_ref(), under_test).map_err(usage)?;
        let origin = origin(&spec, &planned, &taken, scheduler.as_deref())?;
        if let OriginPaths::Boot { kernel, .. } = &origin {
            inputs::check_arguments(kernel, &spec.kernel_args).map_err(usage)?;
        }
        let paths = InputPaths {
            origin,
            agent: self.agent.clone(),
            emulator: taken.input(self.emulator.as_ref()).cloned(),
            scheduler: self.scheduler.clone(),
            image: self.image.clone().filter(|_| planned.selected.iter().any(|case| case.monitor.is_some())),
        };
        let inputs = inputs::load(&paths, scheduler, &self.scratch).map_err(host)?;
        let mut planned = Planned { skip, ..self.plan(&spec, inputs.contents(), &taken).map_err(usage)? };
        if planned.skip.is_none() {
            let refused = |error| PlanError::Field { name: planned.name.clone(), error };
            check_ops(&planned.selected, &inputs).map_err(refused).map_err(usage)?;
        }
        if spec.expect_failure.is_none() && planned.skip.is_none() {
            planned.warnings.extend(inputs.unattached.iter().cloned());
        }
        let run = Run {
            target: self.target.as_deref().unwrap_or(&planned.name),
            planned: &planned,
            shard: self.shard,
            fail_fast: self.fail_fast,
            stop: &self.stop,
            files: &self.files,
            rerun: &self.rerun,
            random_seed: (spec.seed == Some(SeedSpec::Named(RandomSeed::Random))).then_some(self.random_seed),
        };
        let executor = Executor {
            inputs: &inputs,
            backend: taken.machines(),
            stop: &self.stop,
            scratch: &self.scratch,
            recordings: &self.recordings,
        };
        Ok(execute(&run, &executor, &mut Terminal::new()))
    }

    /// The scheduler that a command line names is that of the declaration, with other arguments if there are any. A declaration
    /// without one gets it.
    fn put_under_test(&self, spec: &mut TestSpec) {
        let Some(paths) = &self.scheduler else { return };
        let scheduler = spec.scheduler.get_or_insert_with(|| paths.declared());
        if !self.scheduler_args.is_empty() {
            scheduler.args = self.scheduler_args.clone();
        }
    }

    fn plan(&self, spec: &TestSpec, contents: Contents, taken: &Taken) -> Result<Planned, PlanError> {
        let selection = Selection { filter: self.filter.as_ref(), shard: self.shard, random_seed: self.random_seed };
        planning::plan(spec, contents, &selection, |topology, clock, path| taken.check(topology, clock, path))
    }
}

/// Runs what was planned, each case through the same executor and the same reporter, whoever planned it.
pub(crate) fn execute(run: &Run<'_>, executor: &Executor<'_>, reporter: &mut dyn Reporter) -> TargetReport {
    let (mut report, written) = run.run(reporter, |case, on_stage| executor.execute(case, on_stage));
    if let Err(error) = written {
        // The verdict stands; a report that is not there is one thing more that is wrong.
        eprintln!("ERROR: {}", in_full(&error));
        report.verdict = report.verdict.max(Verdict::Infrastructure);
    }
    report
}

/// The directory of snapshots, in that of the recordings.
pub(crate) const SNAPSHOTS: &str = "snapshots";

/// The seed that was given, or one from the host's entropy.
fn random_seed(given: Option<u64>) -> u64 {
    given.unwrap_or_else(|| {
        let mut bytes = [0; 4];
        // Without entropy the seed is 0, as good as any other; it is printed in the name of the case.
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        u32::from_le_bytes(bytes).into()
    })
}

fn infrastructure(report: &TargetReport) -> Option<&Finding> {
    let mut findings = report.cases.iter().flat_map(|case| &case.findings);
    findings.find(|finding| finding.verdict == Verdict::Infrastructure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_seed_is_taken() {
        assert_eq!(random_seed(Some(7)), 7);
    }
}
