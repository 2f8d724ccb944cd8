//! `launch.json`: where the files of a test are among its runfiles. Written by `ktstr_test` beside the test's executable,
//! which is a link to this program.

use crate::image::KernelInfo;
use crate::inputs::{Emulator, InputPaths, OriginPaths, SnapshotPaths};
use crate::scheduler::SchedulerPaths;
use ktstr_model::field;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

const LAUNCH_VERSION: u32 = 2;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaunchFile {
    version: u32,
    spec: String,
    machines: MachinesFile,
    /// Snapshots with the scheduler attached, by the label of their topology and the name of a profile, or "".
    #[serde(default)]
    attached: BTreeMap<String, BTreeMap<String, String>>,
    agent: String,
    /// Of a test on the emulator.
    #[serde(default)]
    emulator: Option<Emulator>,
    #[serde(default)]
    scheduler: Option<SchedulerFile>,
    /// The image of the kernel, of a test that looks at it.
    #[serde(default)]
    image: Option<String>,
    /// What `ktstr kernel` found out about the kernel; wanted where there is a scheduler.
    #[serde(default)]
    kernel_info: Option<String>,
    /// A static busybox; only of the shell of a test.
    #[serde(default)]
    tools: Option<String>,
    flags: Vec<String>,
}

/// The scheduler under test, in the launch file of a test and in the request for a snapshot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchedulerFile {
    program: String,
    /// Directories.
    #[serde(default)]
    libraries: Vec<String>,
    /// By their paths in the guest.
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    config: Option<String>,
}

impl SchedulerFile {
    /// Where the files are below `root`.
    pub(crate) fn below(&self, root: &Path) -> SchedulerPaths {
        let at = |path: &String| root.join(path);
        SchedulerPaths {
            program: at(&self.program),
            libraries: self.libraries.iter().map(at).collect(),
            files: self.files.iter().map(|(guest, file)| (guest.clone(), at(file))).collect(),
            config: self.config.as_ref().map(at),
        }
    }
}

/// What machines begin with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum MachinesFile {
    Boot {
        kernel: String,
        init: String,
    },
    /// By the label of their topology.
    Snapshots(BTreeMap<String, String>),
}

/// What a test's executable was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// The declaration.
    pub(crate) spec: PathBuf,
    /// Build settings that were not at their defaults, as Bazel takes them.
    pub(crate) flags: Vec<String>,
    /// What is known of the kernel, where that matters.
    pub(crate) kernel: Option<KernelInfo>,
    /// The tools of a shell, if this is the executable of one.
    pub(crate) tools: Option<PathBuf>,
    /// Everything else.
    pub(crate) inputs: InputPaths,
}

/// A test that cannot find its files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {problem}", path.display())]
    Format { path: PathBuf, problem: String },
    #[error("no runfiles: neither RUNFILES_DIR nor TEST_SRCDIR is set, and {} is not a directory", path.display())]
    NoRunfiles { path: PathBuf },
}

/// The launch file beside `program`, if `program` is the executable of a test.
pub(crate) fn beside(program: &Path) -> Option<PathBuf> {
    let file = with_suffix(program, ".launch.json");
    file.is_file().then_some(file)
}

/// Whether a launch file is that of a shell; one that cannot be read is not, and whoever reads it says so.
pub(crate) fn is_of_shell(file: &Path) -> bool {
    let json = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    json.is_some_and(|launch| launch.get("tools").is_some())
}

impl Launch {
    /// Reads a launch file; its paths are below the runfiles of `program`.
    pub(crate) fn read(
        file: &Path,
        program: &Path,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, LaunchError> {
        let json = std::fs::read_to_string(file).map_err(|source| LaunchError::Read { path: file.into(), source })?;
        let format = |problem: String| LaunchError::Format { path: file.into(), problem };
        let launch: LaunchFile = field::from_json(&json).map_err(|error| format(error.to_string()))?;
        if launch.version != LAUNCH_VERSION {
            return Err(format(format!("version {} is not {LAUNCH_VERSION}", launch.version)));
        }
        let root = runfiles(program, variable)?;
        let at = |path: &String| root.join(path);
        Ok(Self {
            spec: at(&launch.spec),
            flags: launch.flags,
            kernel: launch.kernel_info.as_ref().map(|path| read_info(&root.join(path))).transpose()?,
            tools: launch.tools.as_ref().map(at),
            inputs: InputPaths {
                origin: match &launch.machines {
                    MachinesFile::Boot { kernel, init } => OriginPaths::Boot { kernel: at(kernel), init: at(init) },
                    MachinesFile::Snapshots(files) => {
                        let of_profiles = |(label, files): (&String, &BTreeMap<String, String>)| {
                            let key = |profile: &String| (label.clone(), profile.clone());
                            files.iter().map(|(profile, file)| (key(profile), at(file))).collect::<Vec<_>>()
                        };
                        OriginPaths::Snapshots(SnapshotPaths {
                            booted: files.iter().map(|(label, file)| (label.clone(), at(file))).collect(),
                            attached: launch.attached.iter().flat_map(of_profiles).collect(),
                        })
                    }
                },
                agent: at(&launch.agent),
                emulator: launch.emulator.map(|emulator| emulator.below(&root)),
                scheduler: launch.scheduler.as_ref().map(|scheduler| scheduler.below(&root)),
                image: launch.image.as_ref().map(at),
            },
        })
    }
}

fn read_info(path: &Path) -> Result<KernelInfo, LaunchError> {
    let json = std::fs::read_to_string(path).map_err(|source| LaunchError::Read { path: path.into(), source })?;
    serde_json::from_str(&json).map_err(|error| LaunchError::Format { path: path.into(), problem: error.to_string() })
}

/// The root of the runfiles: Bazel sets a variable for a test, `bazel run` and a bare start have a directory beside the
/// program.
fn runfiles(program: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, LaunchError> {
    let from_environment = ["RUNFILES_DIR", "TEST_SRCDIR"].iter().find_map(|name| variable(name));
    if let Some(directory) = from_environment.filter(|directory| !directory.is_empty()) {
        return Ok(directory.into());
    }
    let path = with_suffix(program, ".runfiles");
    if path.is_dir() {
        return Ok(path);
    }
    Err(LaunchError::NoRunfiles { path })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"version": 2, "flags": [], "spec": "_main/t.spec.json",
        "machines": {"boot": {"kernel": "k/vmlinux", "init": "_main/init"}}, "agent": "_main/agent", "emulator": {"loader": "q/ld.so", "binary": "q/qemu",
        "libraries": ["q/lib"], "data": "q/share", "modules": "q/modules"}}"#;

    fn read(json: &str, variable: Option<&str>) -> Result<Launch, LaunchError> {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("t.launch.json");
        std::fs::write(&file, json).expect("writes");
        assert_eq!(beside(&directory.path().join("t")), Some(file.clone()));
        Launch::read(&file, Path::new("/nowhere/t"), |name| variable.filter(|_| name == "TEST_SRCDIR").map(Into::into))
    }

    #[test]
    fn paths_are_below_the_runfiles() {
        let launch = read(JSON, Some("/r")).expect("reads");
        assert_eq!(launch.spec, Path::new("/r/_main/t.spec.json"));
        let emulator = launch.inputs.emulator.expect("has one");
        assert_eq!(emulator.libraries, [Path::new("/r/q/lib")]);
        let boot = OriginPaths::Boot { kernel: "/r/k/vmlinux".into(), init: "/r/_main/init".into() };
        assert_eq!(launch.inputs.origin, boot);
        assert_eq!((launch.inputs.scheduler, launch.inputs.image), (None, None));
        let scheduler =
            r#""scheduler": {"program": "_main/scx", "libraries": ["l"], "files": {"/etc/x": "_main/x"}}, "flags""#;
        let launch = read(&JSON.replace(r#""flags""#, scheduler), Some("/r"));
        let scheduler = launch.expect("reads").inputs.scheduler.expect("has one");
        assert_eq!(scheduler.program, Path::new("/r/_main/scx"));
        assert_eq!(scheduler.files, BTreeMap::from([("/etc/x".to_owned(), "/r/_main/x".into())]));
        let launch = read(&JSON.replace(r#""flags""#, r#""image": "k/vmlinux", "flags""#), Some("/r")).expect("reads");
        assert_eq!(launch.inputs.image.as_deref(), Some(Path::new("/r/k/vmlinux")));
        let snapshots = JSON.replace(
            r#"{"boot": {"kernel": "k/vmlinux", "init": "_main/init"}}"#,
            r#"{"snapshots": {"1n1l2c1t": "_main/s"}}, "attached": {"1n1l2c1t": {"": "_main/a", "llc": "_main/b"}}"#,
        );
        let launch = read(&snapshots, Some("/r")).expect("reads");
        let attached = |profile: &str, file: &str| (("1n1l2c1t".to_owned(), profile.to_owned()), file.into());
        let paths = SnapshotPaths {
            booted: [("1n1l2c1t".to_owned(), "/r/_main/s".into())].into(),
            attached: [attached("", "/r/_main/a"), attached("llc", "/r/_main/b")].into(),
        };
        assert_eq!(launch.inputs.origin, OriginPaths::Snapshots(paths));
    }

    #[test]
    fn says_what_is_missing() {
        let error = read(JSON, None).expect_err("refused").to_string();
        assert!(error.starts_with("no runfiles: neither RUNFILES_DIR nor TEST_SRCDIR is set"), "{error}");
        let error = read(&JSON.replace("kernel", "kernl"), Some("/r")).expect_err("refused").to_string();
        assert!(error.ends_with("did you mean `kernel`?"), "{error}");
        assert!(beside(Path::new("/nowhere/t")).is_none());
    }
}
