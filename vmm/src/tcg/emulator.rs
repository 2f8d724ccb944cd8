//! Where the emulator is, and how it is called.

use crate::StartError;
use serde::Deserialize;
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// An emulator: one program, or a tree of packages that brings everything it needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// The tree's own dynamic loader; without one the host's is used.
    #[serde(default)]
    pub loader: Option<PathBuf>,
    /// `qemu-system-x86_64`.
    pub binary: PathBuf,
    /// Directories of the tree's libraries; only with a loader.
    #[serde(default)]
    pub libraries: Vec<PathBuf>,
    /// Directory of the firmware.
    #[serde(default)]
    pub data: Option<PathBuf>,
    /// Directory of the emulator's modules.
    #[serde(default)]
    pub modules: Option<PathBuf>,
}

/// A program with its first arguments and its whole environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

/// What names the socket to the library (gate/src/instants.rs).
const SOCKET_VARIABLE: &str = "KTSTR_INSTANTS";
/// Firmware of Debian's packages that lies beside the emulator's own data, in packages of their own.
const FIRMWARE_SIBLINGS: &[&str] = &["seabios"];

impl Emulator {
    /// An emulator that is installed on the host.
    pub fn installed(binary: impl Into<PathBuf>) -> Self {
        Self { loader: None, binary: binary.into(), libraries: Vec::new(), data: None, modules: None }
    }

    /// The same with all paths below `root`.
    #[must_use]
    pub fn below(self, root: &Path) -> Self {
        Self {
            loader: self.loader.map(|path| root.join(path)),
            binary: root.join(self.binary),
            libraries: self.libraries.iter().map(|path| root.join(path)).collect(),
            data: self.data.map(|path| root.join(path)),
            modules: self.modules.map(|path| root.join(path)),
        }
    }

    /// How it is called, with the open library `preload` loaded before its own, and the socket `instants` for it. All paths are absolute, because it runs in the
    /// machine's directory.
    ///
    /// # Errors
    /// A part of it is missing.
    pub(super) fn invocation(&self, preload: Option<RawFd>, instants: Option<RawFd>) -> Result<Invocation, StartError> {
        let binary = present("the program", &self.binary)?;
        let preload = preload.map(|file| OsString::from(format!("/proc/self/fd/{file}")));
        let mut arguments = Vec::new();
        let mut environment: Vec<_> =
            instants.map(|socket| (SOCKET_VARIABLE, socket.to_string().into())).into_iter().collect();
        let program = match &self.loader {
            None => {
                environment.extend(preload.map(|library| ("LD_PRELOAD", library)));
                binary
            }
            Some(loader) => {
                let directories: Vec<PathBuf> = self
                    .libraries
                    .iter()
                    .map(|directory| present("the library directory", directory))
                    .collect::<Result<_, _>>()?;
                arguments.extend(preload.into_iter().flat_map(|library| [OsString::from("--preload"), library]));
                arguments.extend([OsString::from("--library-path"), join(&directories), binary.into()]);
                present("the loader", loader)?
            }
        };
        if let Some(data) = &self.data {
            let data = present("the firmware directory", data)?;
            let siblings = FIRMWARE_SIBLINGS.iter().map(|name| data.with_file_name(name)).filter(|path| path.is_dir());
            let directories: Vec<PathBuf> = std::iter::once(data.clone()).chain(siblings).collect();
            arguments.extend(directories.into_iter().flat_map(|directory| [OsString::from("-L"), directory.into()]));
        }
        let modules = self.modules.as_ref().map(|path| present("the module directory", path)).transpose()?;
        environment.extend(modules.map(|path| ("QEMU_MODULE_DIR", path.into())));
        Ok(Invocation { program, arguments, environment })
    }
}

fn present(what: &'static str, path: &Path) -> Result<PathBuf, StartError> {
    let missing = || StartError::EmulatorMissing { what, path: path.into() };
    if !path.exists() {
        return Err(missing());
    }
    std::path::absolute(path).map_err(|_| missing())
}

fn join(directories: &[PathBuf]) -> OsString {
    let mut path = OsString::new();
    for (index, directory) in directories.iter().enumerate() {
        if index > 0 {
            path.push(":");
        }
        path.push(directory);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Emulator) {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for name in ["lib", "lib2", "share/qemu", "share/seabios", "modules"] {
            std::fs::create_dir_all(at(name)).expect("makes");
        }
        for name in ["ld.so", "qemu"] {
            std::fs::write(at(name), "").expect("writes");
        }
        let emulator = Emulator {
            loader: Some(at("ld.so")),
            binary: at("qemu"),
            libraries: vec![at("lib"), at("lib2")],
            data: Some(at("share/qemu")),
            modules: Some(at("modules")),
        };
        (directory, emulator)
    }

    #[test]
    fn a_tree_runs_through_its_own_loader() {
        let (directory, emulator) = tree();
        let at = |name: &str| directory.path().join(name);
        let invocation = emulator.invocation(Some(7), Some(8)).expect("is there");
        assert_eq!(invocation.program, at("ld.so"));
        let libraries = OsString::from(format!("{}:{}", at("lib").display(), at("lib2").display()));
        let expected: Vec<OsString> = vec![
            "--preload".into(),
            "/proc/self/fd/7".into(),
            "--library-path".into(),
            libraries,
            at("qemu").into(),
            "-L".into(),
            at("share/qemu").into(),
            "-L".into(),
            at("share/seabios").into(),
        ];
        assert_eq!(invocation.arguments, expected);
        let expected = [("KTSTR_INSTANTS", "8".into()), ("QEMU_MODULE_DIR", at("modules").into())];
        assert_eq!(invocation.environment, expected);
    }

    #[test]
    fn an_installed_one_is_called_directly() {
        let (directory, _) = tree();
        let binary = directory.path().join("qemu");
        let emulator = Emulator::installed(&binary);
        for (preload, environment) in [(None, vec![]), (Some(7), vec![("LD_PRELOAD", "/proc/self/fd/7".into())])] {
            let invocation = emulator.invocation(preload, None).expect("is there");
            let expected = Invocation { program: binary.clone(), arguments: vec![], environment };
            assert_eq!(invocation, expected);
        }
    }

    #[test]
    fn says_which_part_is_missing() {
        let (_directory, emulator) = tree();
        let refusal = |emulator: Emulator| emulator.invocation(None, None).expect_err("refused").to_string();
        assert_eq!(
            refusal(Emulator::installed("/nowhere/qemu-system-x86_64")),
            "no emulator: the program /nowhere/qemu-system-x86_64 is missing; a test gets its emulator from the toolchain, \
             `ktstr run` from --emulator"
        );
        let error = refusal(Emulator { data: Some("/nowhere/data".into()), ..emulator.clone() });
        assert!(error.starts_with("no emulator: the firmware directory /nowhere/data is missing"), "{error}");
        let error = refusal(Emulator { loader: Some("/nowhere/ld.so".into()), ..emulator });
        assert!(error.starts_with("no emulator: the loader /nowhere/ld.so is missing"), "{error}");
    }
}
