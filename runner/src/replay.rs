//! Runs the case of a recording again and says whether the guest said the same:
//! `Recording ──Replay──▶ the case through the executor ──▶ a recording ──compare──▶ Replayed`.
//!
//! Under the virtual clock a run is a function of its inputs, so that a replay with equal inputs is equal. It is never tried
//! again in silence: each one that differs is reported.

use crate::bazel::TestProtocol;
use crate::cli::{ReplayArgs, TestArgs};
use crate::execute::Executor;
use crate::inputs::{self, InputPaths, Inputs, OriginPaths};
use crate::launch::Launch;
use crate::planning::Planned;
use crate::report::{Replayed, ReportFiles, Reporter, RunEvent, Terminal};
use crate::rerun::Rerun;
use crate::run::Run;
use crate::select::Shard;
use crate::session::{self, host, usage, GivenFiles, SessionError};
use crate::snapshot;
use crate::stop::Stop;
use ktstr_model::case::Input;
use ktstr_model::{Case, Clock, StartMode, Verdict};
use ktstr_recording::compare::{differing_inputs, InputDifference};
use ktstr_recording::{compare, Recording};
use ktstr_vmm::MachineBackend;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the inputs come from, for whoever has to name others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The command line.
    Options,
    /// A target of Bazel.
    Target,
}

/// A recording that is to be replayed.
struct Replay {
    path: PathBuf,
    recording: Recording,
    times: u32,
    /// Gets a directory for each replay.
    output: PathBuf,
    inputs: InputPaths,
    source: Source,
    stop: Stop,
    scratch: PathBuf,
    again: Rerun,
}

/// `ktstr replay`.
///
/// # Errors
/// What is no recording, inputs that are not those of the recording, and what the host cannot do.
pub(crate) fn replay(args: &ReplayArgs) -> Result<Verdict, SessionError> {
    let stop = Stop::install(args.timeout.map(Duration::from_secs)).map_err(host)?;
    let recording = read(&args.recording)?;
    let scratch = tempfile::Builder::new().prefix("ktstr-").tempdir().map_err(host)?;
    let files = session::given_files(&args.inputs, scratch.path())?;
    let mut words = vec!["ktstr".to_owned(), "replay".to_owned(), args.recording.display().to_string()];
    words.extend(session::words_of(&args.inputs));
    let replay = Replay {
        path: args.recording.clone(),
        inputs: given_inputs(files, args, &recording.header.case)?,
        recording,
        times: args.times,
        output: args.output.clone(),
        source: Source::Options,
        stop,
        scratch: scratch.path().to_owned(),
        again: Rerun::Replay { words },
    };
    replay.run(&mut Terminal::new())
}

/// The inputs for a case, of the files that the command line names.
fn given_inputs(files: GivenFiles, args: &ReplayArgs, case: &Case) -> Result<InputPaths, SessionError> {
    let GivenFiles { kernel, init, agent, emulator } = files;
    let beside_the_recording = || args.recording.parent().unwrap_or(Path::new("")).join(session::SNAPSHOTS);
    let origin = match (case.start, case.inputs.iter().find(|input| input.name == "snapshot")) {
        (StartMode::Snapshot, Some(recorded)) => {
            let directory = args.inputs.snapshots.clone().unwrap_or_else(beside_the_recording);
            let found = snapshot::find(&directory, &recorded.sha256).map_err(host)?;
            let missing = || {
                usage(format!(
                    "no file in {} is the snapshot from which the case started, sha256 {}: name its directory with \
                     --snapshots; one that is made again is another one",
                    directory.display(),
                    recorded.sha256
                ))
            };
            OriginPaths::Snapshots([(case.topology.to_string(), found.ok_or_else(missing)?)].into())
        }
        _ => OriginPaths::Boot { kernel, init },
    };
    Ok(InputPaths { origin, agent, emulator })
}

/// The executable of a test with `--replay`: the launch file beside it says where the inputs are.
///
/// # Errors
/// As of [`replay`].
pub(crate) fn of_test(
    protocol: &TestProtocol,
    file: &Path,
    program: &Path,
    args: &TestArgs,
    recording: &Path,
) -> Result<Verdict, SessionError> {
    let environment = |name: &str| std::env::var_os(name);
    let stop = Stop::install(protocol.timeout).map_err(host)?;
    // `bazel run` starts programs somewhere else; paths are those of the shell that called it.
    let caller = environment("BUILD_WORKING_DIRECTORY").map(PathBuf::from);
    let of_the_caller = |path: &Path| caller.as_deref().map_or_else(|| path.to_owned(), |caller| caller.join(path));
    let output = match (&args.output, &caller, &protocol.outputs) {
        (Some(output), ..) => of_the_caller(output),
        // A test that Bazel runs keeps what it leaves here.
        (None, None, Some(outputs)) => outputs.clone(),
        _ => of_the_caller(Path::new("ktstr-replay")),
    };
    let path = of_the_caller(recording);
    let recording = read(&path)?;
    let launch = Launch::read(file, program, environment).map_err(host)?;
    let scratch = tempfile::Builder::new().prefix("ktstr-").tempdir_in(&protocol.scratch).map_err(host)?;
    let replay_option = format!("--replay={}", path.display());
    let words = match &protocol.target {
        Some(label) => {
            let words = ["bazel", "run", label].into_iter().map(str::to_owned).chain(launch.flags);
            words.chain(["--".to_owned(), replay_option]).collect()
        }
        None => vec![program.display().to_string(), replay_option],
    };
    let replay = Replay {
        recording,
        path,
        times: args.times,
        output,
        inputs: launch.inputs,
        source: Source::Target,
        stop,
        scratch: scratch.path().to_owned(),
        again: Rerun::Replay { words },
    };
    replay.run(&mut Terminal::new())
}

/// The name that Bazel gives to the outputs of a test that it packs.
const PACKED: &str = "outputs.zip";

/// Reads a recording. A test cannot see whether Bazel will pack its outputs, so the command that its report shows may name a
/// file that is still packed.
fn read(path: &Path) -> Result<Recording, SessionError> {
    let packed = path.with_file_name(PACKED);
    if !path.exists() && packed.is_file() {
        let file = path.file_name().map(Path::new).unwrap_or(path);
        let directory = packed.parent().unwrap_or(path);
        return Err(usage(format!(
            "{} is packed into {PACKED}; unpack it: unzip -d {} {} {}",
            path.display(),
            directory.display(),
            packed.display(),
            file.display()
        )));
    }
    Recording::read(path).map_err(usage)
}

impl Replay {
    /// All replays; the worst verdict of them.
    fn run(&self, reporter: &mut dyn Reporter) -> Result<Verdict, SessionError> {
        let case = &self.recording.header.case;
        let backend = session::backend(case.backend, &self.inputs.emulator);
        if let Some(backend) = &backend {
            backend
                .check(&case.topology, case.clock, "topology")
                .map_err(|error| usage(format!("{}: its machine cannot be made here: {error}", self.path.display())))?;
        }
        let inputs = inputs::load(&self.inputs, &self.scratch).map_err(host)?;
        let snapshot = inputs.snapshots().remove(&case.topology.to_string());
        let given: Vec<Input> = inputs.hashes.iter().cloned().chain(snapshot).collect();
        if let Some(refusal) = refusal(&self.path, &self.recording, &given, self.source) {
            return Err(usage(refusal));
        }
        self.warnings().iter().for_each(|text| reporter.report(&RunEvent::Warning { text }));
        let (mut verdict, mut equal) = (Verdict::Pass, 0);
        for number in 1..=self.times {
            if let Some(reason) = self.stop.reason() {
                return Err(host(format!("replay {number} of {} was not begun: {reason} came before", self.times)));
            }
            let replayed = self.once(number, &inputs, backend.as_deref(), reporter)?;
            equal += u32::from(replayed.verdict() == Verdict::Pass);
            verdict = verdict.max(replayed.verdict());
            reporter.report(&RunEvent::Replayed { replayed: &replayed });
        }
        if self.times > 1 {
            reporter.report(&RunEvent::AllReplayed { equal, times: self.times });
        }
        Ok(verdict)
    }

    /// What a reader should know before it begins.
    fn warnings(&self) -> Vec<String> {
        let real =
            "the clock of this case is real: the host takes part in the run, and no replay can be expected to be equal";
        let real = (self.recording.header.case.clock == Clock::Real).then(|| real.to_owned());
        let cut = self.recording.incomplete();
        let cut = cut.map(|why| format!("the recording is not whole, it is compared as far as it goes: {why}"));
        real.into_iter().chain(cut).collect()
    }

    fn once(
        &self,
        number: u32,
        inputs: &Inputs,
        backend: Option<&dyn MachineBackend>,
        reporter: &mut dyn Reporter,
    ) -> Result<Replayed, SessionError> {
        let case = &self.recording.header.case;
        let directory = new_directory(&self.output)?;
        let planned = Planned { name: case.name.clone(), all: 1, selected: vec![case.clone()], warnings: vec![] };
        let run = Run {
            target: target_of(case),
            planned: &planned,
            shard: Shard::WHOLE,
            fail_fast: false,
            stop: &self.stop,
            files: &ReportFiles { xml: Some(directory.join("junit.xml")), directory: Some(directory.clone()) },
            rerun: &self.again,
            // The seed stands in the recording, whoever drew it.
            random_seed: None,
        };
        let executor = Executor { inputs, backend, stop: &self.stop, scratch: &self.scratch, recordings: &directory };
        let report = session::execute(&run, &executor, reporter);
        let made = report.cases.first().and_then(|case| case.recording.as_ref()).map(|file| directory.join(file));
        let made = made.ok_or_else(|| host(format!("replay {number} of {} left no recording", self.times)))?;
        let again = Recording::read(&made).map_err(host)?;
        Ok(Replayed {
            number,
            times: self.times,
            clock: case.clock,
            recorded: self.path.display().to_string(),
            recording: made.display().to_string(),
            comparison: compare(&self.recording, &again),
        })
    }
}

/// The target in the name of a case.
fn target_of(case: &Case) -> &str {
    case.name.split('[').next().unwrap_or(&case.name)
}

/// The first of `1`, `2`, … that is not there yet: no replay overwrites what another one has left, or what it is replaying.
fn new_directory(output: &Path) -> Result<PathBuf, SessionError> {
    let failed = |path: &Path, error: std::io::Error| {
        host(format!("cannot make the directory {} (choose another place with --output): {error}", path.display()))
    };
    std::fs::create_dir_all(output).map_err(|error| failed(output, error))?;
    let mut number = 1u64;
    loop {
        let directory = output.join(number.to_string());
        match std::fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(failed(&directory, error)),
        }
    }
}

/// Why a recording cannot be replayed with inputs of these contents; none: they are the recorded ones.
fn refusal(path: &Path, recording: &Recording, given: &[Input], source: Source) -> Option<String> {
    let differing = differing_inputs(&recording.header.case.inputs, given);
    if differing.is_empty() {
        return None;
    }
    let mut text = format!("{} was made of other inputs:", path.display());
    for InputDifference { name, first, second } in &differing {
        let shown = |sha256: &Option<String>| sha256.as_ref().map_or("none".into(), |sum| format!("sha256 {sum}"));
        let what_to_do = match source {
            Source::Options => format!(": {}", what_to_name(name, &recording.header.made_by)),
            Source::Target if name == "snapshot" => {
                ": one that is made again is another one; build with the cache of the run that was recorded".into()
            }
            Source::Target => String::new(),
        };
        text += &format!("\n  {name}{what_to_do}");
        text += &format!("\n    recorded: {}\n    given:    {}", shown(first), shown(second));
    }
    if source == Source::Target {
        text += "\n  run it where the sources, the flags and the target are those of the recording";
    }
    Some(text)
}

/// What makes an input of `ktstr replay` the recorded one.
fn what_to_name(input: &str, made_by: &str) -> String {
    match input {
        "kernel" => "name the kernel that was booted with --kernel".into(),
        "emulator" => "name the emulator that ran it with --emulator".into(),
        "init" | "agent" => "name the directory of the guest programs that ran with --guest".into(),
        "snapshot" => "name the directory of the snapshot that it started from with --snapshots".into(),
        "runner" => format!("replay it with the very program that made it ({made_by})"),
        _ => "the case was made of it, and it cannot be named here: replay it by its test".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::plan::Plan;
    use ktstr_model::{Backend, Topology};
    use ktstr_recording::{Header, Writer};

    fn recording(inputs: &[(&str, &str)]) -> Recording {
        let case = Case {
            name: "t[1n1l1c1t][s0]".into(),
            topology: Topology::new(1, 1, 1, 1).expect("can be"),
            backend: Backend::Tcg,
            clock: Clock::Real,
            start: StartMode::Snapshot,
            seed: 0,
            kernel_args: vec![],
            plan: Plan { seed: 0, cgroups: vec![], groups: vec![], steps: vec![], trace: vec![] },
            checks: vec![],
            inputs: self::inputs(inputs),
        };
        let header = Header { made_by: "ktstr 0.0.1".into(), case };
        let writer = Writer::new(Vec::new(), Path::new("memory"), &header).expect("written");
        Recording::from_bytes(&writer.finish().expect("written"), "memory").expect("reads")
    }

    fn inputs(inputs: &[(&str, &str)]) -> Vec<Input> {
        inputs.iter().map(|(name, sha256)| Input { name: (*name).into(), sha256: (*sha256).into() }).collect()
    }

    #[test]
    fn each_other_input_is_named_with_what_to_do() {
        let recorded = recording(&[("agent", "aa"), ("kernel", "bb"), ("runner", "cc"), ("snapshot", "dd")]);
        let given = inputs(&[("agent", "aa"), ("kernel", "b0"), ("runner", "c0")]);
        let text = refusal(Path::new("x.ktstr"), &recorded, &given, Source::Options).expect("refused");
        insta::assert_snapshot!(text, @r"
        x.ktstr was made of other inputs:
          kernel: name the kernel that was booted with --kernel
            recorded: sha256 bb
            given:    sha256 b0
          runner: replay it with the very program that made it (ktstr 0.0.1)
            recorded: sha256 cc
            given:    sha256 c0
          snapshot: name the directory of the snapshot that it started from with --snapshots
            recorded: sha256 dd
            given:    none
        ");
        let text = refusal(Path::new("x.ktstr"), &recorded, &given[..2], Source::Target).expect("refused");
        assert!(
            text.ends_with("  run it where the sources, the flags and the target are those of the recording"),
            "{text}"
        );
        assert_eq!(refusal(Path::new("x"), &recorded, &recorded.header.case.inputs, Source::Target), None);
    }

    #[test]
    fn a_recording_that_is_packed_says_so() {
        let outputs = tempfile::tempdir().expect("a directory");
        let file = outputs.path().join("x.ktstr");
        let refusal = || read(&file).expect_err("refused").to_string();
        assert_eq!(refusal(), format!("cannot read the recording {}", file.display()));
        std::fs::write(outputs.path().join(PACKED), b"").expect("writes");
        let at = outputs.path().display();
        assert!(refusal().ends_with(&format!("unpack it: unzip -d {at} {at}/outputs.zip x.ktstr")), "{}", refusal());
    }

    #[test]
    fn no_replay_overwrites_another() {
        let output = tempfile::tempdir().expect("a directory");
        let made: Vec<PathBuf> = (0..2).map(|_| new_directory(output.path()).expect("makes")).collect();
        assert_eq!(made, [output.path().join("1"), output.path().join("2")]);
        let error = new_directory(Path::new("/proc/x")).expect_err("refused").to_string();
        assert!(
            error.starts_with("cannot make the directory /proc/x (choose another place with --output): "),
            "{error}"
        );
    }

    #[test]
    fn a_target_is_in_the_name_of_its_cases() {
        assert_eq!(target_of(&recording(&[]).header.case), "t");
    }
}
