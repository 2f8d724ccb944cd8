//! The files that a case is made of, read once for all cases of a target: `InputPaths ──load──▶ Inputs`.

use crate::execute::in_full;
use crate::guest_files::TooLarge;
use crate::image::{self, KernelError, KernelInfo, OptionsError};
use crate::planning::Contents;
use crate::scheduler::{self, ClosureError, SchedulerPaths};
use crate::snapshot::{self, Expansion, Snapshot};
use ktstr_channel::layout::PAYLOAD_BYTES_MAX;
use ktstr_channel::{LARGE_WINDOW_BYTES, WINDOW_BYTES};
use ktstr_model::case::Input;
use ktstr_model::{Case, SchedulerPlan, StartMode};
use ktstr_monitor::Image;
use ktstr_recording::Sha256Sum;
use ktstr_vmm::has_kaslr;
pub(crate) use ktstr_vmm::Emulator;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputPaths {
    /// What machines begin with.
    pub(crate) origin: OriginPaths,
    /// What runs the plan in the guest.
    pub(crate) agent: PathBuf,
    /// The emulator and what it needs, if machines run on one.
    pub(crate) emulator: Option<Emulator>,
    /// The scheduler under test, if there is one.
    pub(crate) scheduler: Option<SchedulerPaths>,
    /// The image of the kernel, for what looks at it from outside; none: nobody does.
    pub(crate) image: Option<PathBuf>,
}

/// Where that is what machines begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OriginPaths {
    /// Cases boot.
    Boot {
        /// A kernel that `ktstr kernel` has prepared, or one that moves itself, as it was given.
        kernel: PathBuf,
        /// Stage one of the guest.
        init: PathBuf,
    },
    /// Cases start from snapshots.
    Snapshots(SnapshotPaths),
}

/// Files of snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SnapshotPaths {
    /// Machines that have booted, by the label of their topology.
    pub(crate) booted: BTreeMap<String, PathBuf>,
    /// Machines with the scheduler attached, by the same label and the name of a profile. A file may say that there is none, and why.
    pub(crate) attached: BTreeMap<(String, String), PathBuf>,
}

/// What machines begin with.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Cases boot.
    Boot {
        /// A kernel that the machine boots directly.
        kernel: PathBuf,
        /// The initial RAM file system.
        initramfs: PathBuf,
    },
    /// See [`SnapshotPaths`].
    Snapshots {
        /// Machines that have booted.
        booted: BTreeMap<String, Snapshot>,
        /// Machines with the scheduler attached, so far as it came to that.
        attached: BTreeMap<(String, String), Snapshot>,
    },
}

/// Everything that cases boot and run.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// What machines begin with.
    pub(crate) origin: Origin,
    /// The snapshot that is in use.
    pub(crate) expansion: Expansion,
    /// The agent, as it goes into the window.
    pub(crate) agent: Vec<u8>,
    /// The files of the scheduler under test, as they go into the window.
    pub(crate) scheduler: Option<Vec<u8>>,
    /// The image of the kernel, for what looks at it from outside, or why it tells nothing; none: nobody looks.
    pub(crate) image: Option<Result<Arc<Image>, String>>,
    /// Contents of all of them but the snapshots, for the key of a case.
    pub(crate) hashes: Vec<Input>,
    /// Why there is no snapshot of a machine with the scheduler attached, one a line.
    pub(crate) unattached: Vec<String>,
}

impl Inputs {
    /// What the files add to the key of cases.
    pub(crate) fn contents(&self) -> Contents {
        let shared = self.hashes.clone();
        match &self.origin {
            Origin::Boot { .. } => Contents { shared, ..Contents::default() },
            Origin::Snapshots { booted, attached } => {
                Contents { shared, snapshots: inputs_of(booted), attached: inputs_of(attached) }
            }
        }
    }

    /// The snapshot that a case starts from, if it does and there is one.
    pub(crate) fn snapshot_of(&self, case: &Case) -> Option<&Snapshot> {
        let label = case.topology.to_string();
        match (&self.origin, case.start) {
            (Origin::Boot { .. }, _) | (_, StartMode::Boot) => None,
            (Origin::Snapshots { booted, .. }, StartMode::Snapshot) => booted.get(&label),
            (Origin::Snapshots { attached, .. }, StartMode::Attached) => attached.get(&case.attached()),
        }
    }
}

fn inputs_of<K: Ord + Clone>(snapshots: &BTreeMap<K, Snapshot>) -> BTreeMap<K, Input> {
    snapshots.iter().map(|(key, snapshot)| (key.clone(), snapshot.input().clone())).collect()
}

/// A file that cases need and that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("cannot read the {what} {}{}", path.display(), what_to_try(what))]
    Read { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("kernel {}", path.display())]
    Kernel { path: PathBuf, source: KernelError },
    #[error("kernel configuration {}", path.display())]
    Options { path: PathBuf, source: OptionsError },
    #[error("the declaration has the scheduler {name}, and no program is named for it (--scheduler FILE)")]
    NoScheduler { name: String },
    #[error(transparent)]
    Closure(#[from] ClosureError),
    #[error("the scheduler {scheduler} reads {file}, and no file is named for it (--scheduler-file {file}=FILE)")]
    UnnamedFile { scheduler: String, file: String },
    #[error("the scheduler {name} and what it needs have {too_large}. Without debug information (strip) a program is often a tenth")]
    SchedulerTooLarge { name: String, too_large: TooLarge },
}

/// For `ktstr run`; a test gets all its files from the toolchain.
fn what_to_try(what: &str) -> &'static str {
    match what {
        "guest program" => " (name its directory with --guest)",
        "emulator" => " (name another one with --emulator)",
        _ => "",
    }
}

/// Most bytes of the files of a scheduler, or of a shell: what the payload has besides the agent and the plan.
pub(crate) const SCHEDULER_BYTES_MAX: usize = (PAYLOAD_BYTES_MAX >> 20 << 20) - (3 << 20);
/// The same of a machine that boots others.
pub(crate) const HOST_BYTES_MAX: usize = LARGE_WINDOW_BYTES - WINDOW_BYTES - (3 << 20);

/// Packs the scheduler that cases have under test, if they have one. What is wrong with it is wrong before anything boots.
pub(crate) fn load_scheduler(
    paths: Option<&SchedulerPaths>,
    under_test: Option<&SchedulerPlan>,
) -> Result<Option<Vec<u8>>, InputError> {
    match (under_test, paths) {
        (None, _) => Ok(None),
        (Some(plan), Some(paths)) => scheduler::load(paths, plan).map(Some),
        (Some(plan), None) => Err(InputError::NoScheduler { name: plan.name.clone() }),
    }
}

/// Reads all other files; what has to be made of them goes into `scratch`.
pub(crate) fn load(paths: &InputPaths, scheduler: Option<Vec<u8>>, scratch: &Path) -> Result<Inputs, InputError> {
    let agent = read("guest program", &paths.agent)?;
    // A kernel is as large as all the others together, and hashing is most of what happens before the first machine.
    let (origin, image, emulator, runner) = std::thread::scope(|scope| {
        let origin = scope.spawn(|| load_origin(&paths.origin, scratch));
        let image = scope.spawn(|| paths.image.as_deref().map(load_image));
        let emulator = paths.emulator.as_ref().map(|emulator| hash_of("emulator", &emulator.binary)).transpose();
        let runner = hash_of("runner", &std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into()));
        (joined(origin), joined(image), emulator, runner)
    });
    let Loaded { origin, mut hashes, unattached } = origin?;
    let (image, of_image) = image.transpose()?.unzip();
    if let (Origin::Snapshots { .. }, Some(sha256)) = (&origin, of_image) {
        hashes.push(input("kernel", sha256));
    }
    hashes.extend([input("agent", hash(&agent)), input("runner", runner?)]);
    hashes.extend(emulator?.map(|digest| input("emulator", digest)));
    hashes.extend(scheduler.iter().map(|archive| input("scheduler", hash(archive))));
    Ok(Inputs { origin, expansion: Expansion::default(), agent, scheduler, image, hashes, unattached })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The kernel's image, opened once for all cases, and its digest.
fn load_image(path: &Path) -> Result<(Result<Arc<Image>, String>, String), InputError> {
    let image = Image::open(path).map(Arc::new).map_err(|error| in_full(&error));
    Ok((image, hash_of("kernel", path)?))
}

/// What machines begin with, what it adds to the key of all cases, and why something of it is not there.
struct Loaded {
    origin: Origin,
    hashes: Vec<Input>,
    unattached: Vec<String>,
}

fn load_origin(paths: &OriginPaths, scratch: &Path) -> Result<Loaded, InputError> {
    match paths {
        OriginPaths::Boot { kernel, init } => {
            let init = read("guest program", init)?;
            let initramfs = scratch.join("initramfs.cpio");
            write(&initramfs, &image::initramfs(&init))?;
            let hashes = vec![input("init", hash(&init)), input("kernel", hash_of("kernel", kernel)?)];
            Ok(Loaded { origin: Origin::Boot { kernel: kernel.clone(), initramfs }, hashes, unattached: vec![] })
        }
        OriginPaths::Snapshots(files) => {
            let mut booted = BTreeMap::new();
            for (label, file) in &files.booted {
                let sha256 = hash_of("snapshot", file)?;
                booted.insert(label.clone(), Snapshot::new(StartMode::Snapshot, file.clone(), sha256));
            }
            let (mut attached, mut unattached) = (BTreeMap::new(), Vec::new());
            for ((label, profile), file) in &files.attached {
                let bytes = read("snapshot", file)?;
                match snapshot::unattached(&bytes) {
                    Some(why) => unattached.push(format!(
                        "{label}{}: the start that cases were to share, with the scheduler attached, could not be made, so each case attaches it by itself: {why}",
                        if profile.is_empty() { String::new() } else { format!("[{profile}]") }
                    )),
                    None => {
                        let snapshot = Snapshot::new(StartMode::Attached, file.clone(), hash(&bytes));
                        attached.insert((label.clone(), profile.clone()), snapshot);
                    }
                }
            }
            Ok(Loaded { origin: Origin::Snapshots { booted, attached }, hashes: Vec::new(), unattached })
        }
    }
}

fn input(name: &str, sha256: String) -> Input {
    Input { name: name.into(), sha256 }
}

/// `ktstr kernel`: prepares a kernel once, for all tests that boot it.
pub(crate) fn prepare_kernel(
    image_path: &Path,
    config: Option<&Path>,
    output: &Path,
    info_path: Option<&Path>,
) -> Result<KernelInfo, InputError> {
    let text = config.map(|path| read("kernel configuration", path)).transpose()?;
    let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if let Some((path, text)) = config.zip(text.as_deref()) {
        image::check_options(text).map_err(|source| InputError::Options { path: path.into(), source })?;
    }
    let bytes = read("kernel", image_path)?;
    let (kernel, info) = image::prepare(&bytes, text.as_deref())
        .map_err(|source| InputError::Kernel { path: image_path.into(), source })?;
    write(output, &kernel)?;
    if let Some(path) = info_path {
        write(path, format!("{}\n", serde_json::to_string(&info).unwrap_or_default()).as_bytes())?;
    }
    Ok(info)
}

/// Checks that the kernel of `path` can do what its arguments say.
pub(crate) fn check_arguments(path: &Path, arguments: &[String]) -> Result<(), InputError> {
    if !has_kaslr(arguments) {
        return Ok(());
    }
    image::check_moves(&read("kernel", path)?).map_err(|source| InputError::Kernel { path: path.into(), source })
}

/// Content of a file; `what` is how an error calls it.
pub(crate) fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, InputError> {
    std::fs::read(path).map_err(|source| InputError::Read { what, path: path.into(), source })
}

/// Lower-case hexadecimal SHA-256 of a file.
pub(crate) fn hash_of(what: &'static str, path: &Path) -> Result<String, InputError> {
    read(what, path).map(|bytes| hash(&bytes))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), InputError> {
    std::fs::write(path, bytes).map_err(|source| InputError::Write { path: path.into(), source })
}

/// Lower-case hexadecimal SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256Sum::of(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_none_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("script");
        std::fs::write(&path, "#!/bin/sh\n").expect("writes");
        let error = prepare_kernel(&path, None, &directory.path().join("out"), None).expect_err("refused");
        assert_eq!(error.to_string(), format!("kernel {}", path.display()));
        let source = std::error::Error::source(&error).expect("a source").to_string();
        assert!(source.starts_with("not a kernel image"), "{source}");
    }

    #[test]
    fn an_image_that_tells_nothing_says_why_and_has_a_digest() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("kernel");
        std::fs::write(&path, "#!/bin/sh\n").expect("writes");
        let (image, sha256) = load_image(&path).expect("reads");
        assert_eq!(image.map(|_| ()), Err("the kernel is no ELF file with a segment of code".into()));
        assert_eq!(sha256, hash(b"#!/bin/sh\n"));
    }

    #[test]
    fn a_lacking_option_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("config");
        std::fs::write(&config, "CONFIG_SMP=y\n").expect("writes");
        let error = prepare_kernel(&config, Some(&config), &directory.path().join("out"), None).expect_err("refused");
        let source = std::error::Error::source(&error).expect("a source").to_string();
        assert!(source.contains("CONFIG_CPUSETS=y (cpusets of cgroups)"), "{source}");
    }

    #[test]
    fn a_full_disk_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = write(Path::new("/dev/full"), b"x").expect_err("full");
        assert_eq!(error.to_string(), "cannot write /dev/full");
        drop(directory);
    }
}
