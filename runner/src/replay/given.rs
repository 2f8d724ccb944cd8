//! What a replay is given: by the command line, or by the launch file of a test. `arguments ──▶ Recording, InputPaths ──▶ Replay`.

use super::refusal::Source;
use super::Replay;
use crate::bazel::TestProtocol;
use crate::cli::{ReplayArgs, TestArgs};
use crate::given::{given_files, named, of_input, words_of, GivenFiles, GivenKernel};
use crate::inputs::{InputPaths, OriginPaths, SnapshotPaths};
use crate::launch::Launch;
use crate::report::Terminal;
use crate::rerun::{words_of_replay, Rerun};
use crate::session::{self, host, usage, SessionError};
use crate::snapshot;
use crate::stop::Stop;
use ktstr_model::{Case, StartMode, Verdict};
use ktstr_recording::Recording;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `ktstr replay`.
///
/// # Errors
/// What is no recording, inputs that are not those of the recording, and what the host cannot do.
pub(crate) fn replay(args: &ReplayArgs) -> Result<Verdict, SessionError> {
    let stop = Stop::install(args.timeout.map(Duration::from_secs)).map_err(host)?;
    let recording = read(&args.recording)?;
    let scratch = tempfile::Builder::new().prefix("ktstr-").tempdir().map_err(host)?;
    let inputs = given_inputs(args, &recording.header.case, scratch.path())?;
    let mut words = vec!["ktstr".to_owned(), "replay".to_owned(), args.recording.display().to_string()];
    let is_used = inputs.image.is_some() || matches!(inputs.origin, OriginPaths::Boot { .. });
    words.extend(named("--kernel", args.kernel.as_deref().filter(|_| is_used)));
    words.extend(words_of(&args.inputs));
    let not_used = "the case starts from a snapshot, which has its kernel in it, and nobody looks at it: that of --kernel is not used";
    let replay = Replay {
        path: args.recording.clone(),
        recording,
        inputs,
        warnings: args.kernel.iter().filter(|_| !is_used).map(|_| not_used.to_owned()).collect(),
        times: args.times,
        output: args.output.clone(),
        source: Source::Options,
        stop,
        scratch: scratch.path().to_owned(),
        again: Rerun::Replay { words },
    };
    replay.run(&mut Terminal::new())
}

/// The inputs for a case, of the files that the command line names; a kernel is prepared in `scratch`.
fn given_inputs(args: &ReplayArgs, case: &Case, scratch: &Path) -> Result<InputPaths, SessionError> {
    let GivenFiles { init, agent, emulator, scheduler } = given_files(&args.inputs);
    let kernel = args.kernel.as_deref().filter(|_| case.monitor.is_some() || case.start == StartMode::Boot);
    let kernel = kernel.map(|kernel| GivenKernel::new(kernel, args.inputs.config.as_deref(), scratch)).transpose()?;
    let beside_the_recording = || args.recording.parent().unwrap_or(Path::new("")).join(session::SNAPSHOTS);
    let recorded = case.start.snapshot().and_then(|name| case.inputs.iter().find(|input| input.name == name));
    let origin = match recorded {
        Some(recorded) => {
            let directory = args.inputs.snapshots.clone().unwrap_or_else(beside_the_recording);
            let found = snapshot::find(&directory, &recorded.sha256).map_err(of_input)?;
            let missing = || {
                usage(format!(
                    "no file in {} is the snapshot from which the case started, sha256 {}: name its directory with \
                     --snapshots; one that is made again is another one",
                    directory.display(),
                    recorded.sha256
                ))
            };
            let (label, file) = (case.topology.to_string(), found.ok_or_else(missing)?);
            OriginPaths::Snapshots(match case.start {
                StartMode::Attached => {
                    SnapshotPaths { attached: [(case.attached(), file)].into(), ..SnapshotPaths::default() }
                }
                _ => SnapshotPaths { booted: [(label, file)].into(), ..SnapshotPaths::default() },
            })
        }
        None => {
            let missing = || {
                let recording = args.recording.display();
                usage(format!("the case of {recording} boots: name the kernel that was booted with --kernel"))
            };
            OriginPaths::Boot { kernel: kernel.as_ref().ok_or_else(missing)?.booted(&case.kernel_args)?, init }
        }
    };
    let image = kernel.filter(|_| case.monitor.is_some()).map(|kernel| kernel.prepared);
    Ok(InputPaths { origin, agent, emulator, scheduler, image })
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
    let file = path.display();
    let words = match &protocol.target {
        Some(label) => words_of_replay(label, &launch.flags, &file.to_string()),
        None => vec![program.display().to_string(), format!("--replay={file}")],
    };
    let replay = Replay {
        recording,
        path,
        times: args.times,
        output,
        inputs: launch.inputs,
        warnings: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, CommandLine};
    use crate::inputs::hash;
    use clap::Parser;
    use ktstr_model::case::Input;
    use ktstr_testing::history::history;
    use std::ffi::OsStr;

    #[test]
    fn only_a_case_that_boots_needs_a_kernel() {
        let directory = tempfile::tempdir().expect("a directory");
        let (scratch, file) = (directory.path(), directory.path().join("a.snapshot"));
        std::fs::write(&file, b"saved").expect("writes");
        let words = ["ktstr", "replay", "x.ktstr", "--emulator", "/nowhere/qemu", "--snapshots"].map(OsStr::new);
        let line = CommandLine::try_parse_from(words.into_iter().chain([scratch.as_os_str()])).expect("parses");
        let Command::Replay(args) = line.command else { panic!("another command") };
        let mut case = history("1n1l1c1t", "a: cpu_spin x1\nhold 1s").case;
        case.start = StartMode::Boot;
        let error = given_inputs(&args, &case, scratch).expect_err("refused");
        assert_eq!(error.exit_status(), 2);
        assert_eq!(error.to_string(), "the case of x.ktstr boots: name the kernel that was booted with --kernel");
        case.start = StartMode::Snapshot;
        case.inputs = vec![Input { name: "snapshot".into(), sha256: hash(b"saved") }];
        let inputs = given_inputs(&args, &case, scratch).expect("all is there");
        let booted = [("1n1l1c1t".to_owned(), file.clone())].into();
        assert_eq!(inputs.origin, OriginPaths::Snapshots(SnapshotPaths { booted, ..SnapshotPaths::default() }));
        case.start = StartMode::Attached;
        case.inputs = vec![Input { name: "attached".into(), sha256: hash(b"saved") }];
        let inputs = given_inputs(&args, &case, scratch).expect("all is there");
        let attached = [(("1n1l1c1t".to_owned(), String::new()), file)].into();
        assert_eq!(inputs.origin, OriginPaths::Snapshots(SnapshotPaths { attached, ..SnapshotPaths::default() }));
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
}
