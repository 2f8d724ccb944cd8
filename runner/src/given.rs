//! The files that a command line names, and the words that name them again.

use crate::backend::EMULATOR;
use crate::cli::{InputArgs, RunArgs, SchedulerFiles};
use crate::image::KernelInfo;
use crate::inputs::{self, Emulator, InputError};
use crate::rerun::ReplayWords;
use crate::scheduler::{of_this_machine, SchedulerPaths};
use crate::session::{host, usage, SessionError, SNAPSHOTS};
use ktstr_vmm::has_kaslr;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Files that a command line names.
#[derive(Debug)]
pub(crate) struct GivenFiles {
    pub(crate) init: PathBuf,
    pub(crate) agent: PathBuf,
    /// None: none is named, and none is on PATH.
    pub(crate) emulator: Option<Emulator>,
    pub(crate) scheduler: Option<SchedulerPaths>,
}

/// The kernel that a command line names.
#[derive(Debug)]
pub(crate) struct GivenKernel {
    given: PathBuf,
    /// What is read to look at it from outside, and what boots faster.
    pub(crate) prepared: PathBuf,
    /// What is known of it.
    pub(crate) info: KernelInfo,
}

impl GivenKernel {
    /// Prepares a kernel in `scratch`.
    pub(crate) fn new(kernel: &Path, config: Option<&Path>, scratch: &Path) -> Result<Self, SessionError> {
        let prepared = scratch.join("vmlinux");
        let info = inputs::prepare_kernel(kernel, config, &prepared, None).map_err(of_input)?;
        Ok(Self { given: kernel.to_owned(), prepared, info })
    }

    /// What boots with these arguments.
    pub(crate) fn booted(&self, arguments: &[String]) -> Result<PathBuf, SessionError> {
        if !has_kaslr(arguments) {
            return Ok(self.prepared.clone());
        }
        inputs::check_arguments(&self.given, arguments).map_err(of_input)?;
        std::path::absolute(&self.given).map_err(host)
    }
}

/// The files that a command line names.
pub(crate) fn given_files(args: &InputArgs) -> GivenFiles {
    let beside_this_program = || std::env::current_exe().ok()?.parent().map(Path::to_owned);
    let guest = args.guest.clone().or_else(beside_this_program).unwrap_or_default();
    GivenFiles {
        init: guest.join("ktstr-init"),
        agent: guest.join("ktstr-agent"),
        emulator: plain_emulator(args.emulator.as_deref(), std::env::var_os("PATH").as_deref()),
        scheduler: given_scheduler(&args.scheduler, args.config.as_deref()),
    }
}

/// The scheduler that a command line names. It was built on this machine, or for one like it.
fn given_scheduler(args: &SchedulerFiles, config: Option<&Path>) -> Option<SchedulerPaths> {
    let program = args.scheduler.clone()?;
    let libraries = args.scheduler_libraries.iter().cloned().chain(of_this_machine()).collect();
    let files = args.scheduler_file.iter().cloned().collect();
    Some(SchedulerPaths { program, libraries, files, config: config.map(Path::to_owned) })
}

/// The words of `ktstr run` that come after the choice of cases.
pub(crate) fn last_words_of(args: &RunArgs) -> Vec<String> {
    let dashes = (!args.scheduler_args.is_empty()).then(|| "--".to_owned());
    dashes.into_iter().chain(args.scheduler_args.iter().cloned()).collect()
}

/// The words of `ktstr run` but for the choice of cases.
pub(crate) fn command_of(args: &RunArgs) -> Vec<String> {
    let mut words = vec!["ktstr".into(), "run".into(), args.spec.display().to_string()];
    words.extend(named("--kernel", Some(&args.kernel)));
    // Another directory has another snapshot, from which the same seed is another run.
    let inputs = InputArgs { snapshots: Some(snapshots_of(args)), ..args.inputs.clone() };
    words.extend(words_of(&inputs));
    words.extend(args.backend.iter().flat_map(|backend| ["--backend".to_owned(), backend.name().to_owned()]));
    words
}

/// The directory of a run's snapshots.
pub(crate) fn snapshots_of(args: &RunArgs) -> PathBuf {
    args.inputs.snapshots.clone().unwrap_or_else(|| args.output.join(SNAPSHOTS))
}

/// The words that replay what `args` runs.
pub(crate) fn replay_words(args: &RunArgs) -> ReplayWords {
    ReplayWords {
        directory: args.output.clone(),
        kernel: named("--kernel", Some(&args.kernel)),
        inputs: words_of(&args.inputs),
    }
}

/// The words that name inputs.
pub(crate) fn words_of(args: &InputArgs) -> Vec<String> {
    let InputArgs { config, emulator, guest, snapshots, scheduler } = args;
    let SchedulerFiles { scheduler, scheduler_file, scheduler_libraries } = scheduler;
    let options = [
        ("--config", config),
        ("--emulator", emulator),
        ("--guest", guest),
        ("--snapshots", snapshots),
        ("--scheduler", scheduler),
    ];
    let mut words: Vec<String> = options.iter().flat_map(|(option, value)| named(option, value.as_deref())).collect();
    let file =
        |(guest, file): &(String, PathBuf)| ["--scheduler-file".to_owned(), format!("{guest}={}", file.display())];
    words.extend(scheduler_file.iter().flat_map(file));
    words.extend(scheduler_libraries.iter().flat_map(|directory| named("--scheduler-libraries", Some(directory))));
    words
}

/// An option with its value, if it has one.
pub(crate) fn named(option: &str, value: Option<&Path>) -> Vec<String> {
    value.map(|value| vec![option.to_owned(), value.display().to_string()]).unwrap_or_default()
}

/// An emulator that is installed on this machine.
fn plain_emulator(given: Option<&Path>, search_path: Option<&OsStr>) -> Option<Emulator> {
    if let Some(path) = given {
        return Some(Emulator::installed(path));
    }
    let mut candidates =
        std::env::split_paths(search_path.unwrap_or_default()).map(|directory| directory.join(EMULATOR));
    candidates.find(|path| path.is_file()).map(Emulator::installed)
}

/// A file that is not what it should be was named by the user; a disk that is full was not.
pub(crate) fn of_input(error: InputError) -> SessionError {
    match error {
        InputError::Write { .. } => host(error),
        _ => usage(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_looked_for_on_the_path() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(plain_emulator(None, Some(directory.path().as_os_str())), None);
        std::fs::write(directory.path().join(EMULATOR), "").expect("writes");
        let found = plain_emulator(None, Some(directory.path().as_os_str())).expect("is there");
        assert_eq!(found.binary, directory.path().join(EMULATOR));
    }
}
