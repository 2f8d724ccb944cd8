//! `ktstr snapshot`: makes the snapshot that a file asks for. The file is written by the rules for snapshots; its paths are below the
//! directory in which the command runs.

use super::{attach, make, AttachmentOf, SnapshotOf};
use crate::backend::Taken;
use crate::cli::SnapshotArgs;
use crate::inputs::InputError;
use crate::launch::SchedulerFile;
use crate::scheduler;
use crate::session::{host, usage, SessionError};
use ktstr_model::topology::TopologySpec;
use ktstr_model::{field, Backend, Clock, SchedulerSpec, Topology};
use ktstr_vmm::{Emulator, MachineBackend, SavedMachine};
use serde::Deserialize;
use std::path::{Path, PathBuf};

const REQUEST_VERSION: u32 = 2;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    version: u32,
    #[serde(default)]
    boot: Option<Box<Boot>>,
    #[serde(default)]
    attach: Option<Box<Attach>>,
}

/// A machine that has booted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boot {
    backend: Backend,
    clock: Clock,
    #[serde(default)]
    emulator: Option<Emulator>,
    init: PathBuf,
    kernel: PathBuf,
    kernel_args: Vec<String>,
    topology: TopologySpec,
    /// Whether it is to boot machines itself.
    #[serde(default)]
    virtualization: bool,
}

/// A machine with a scheduler attached.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attach {
    backend: Backend,
    clock: Clock,
    #[serde(default)]
    emulator: Option<Emulator>,
    topology: TopologySpec,
    /// The snapshot of a machine that has booted.
    from: PathBuf,
    agent: PathBuf,
    scheduler: SchedulerFile,
    /// As the test declares it.
    declared: SchedulerSpec,
}

#[derive(Debug)]
enum Request {
    Boot(Box<Boot>),
    Attach(Box<Attach>),
}

/// Makes a snapshot.
///
/// # Errors
/// A request that cannot be; a guest that does not come to its save point; files that cannot be read or written. A scheduler that does not
/// come to be attached is none.
pub(crate) fn snapshot_file(args: &SnapshotArgs) -> Result<(), SessionError> {
    match read(&args.request)? {
        Request::Boot(request) => boot(&request, &args.output),
        Request::Attach(request) => attached(&request, &args.output),
    }
}

fn boot(request: &Boot, output: &Path) -> Result<(), SessionError> {
    let (backend, topology) = machine(request.backend, request.emulator.as_ref(), &request.topology, request.clock)?;
    if request.virtualization {
        backend.capabilities().check_virtualization(request.clock).map_err(usage)?;
    }
    let of = SnapshotOf {
        kernel: &request.kernel,
        init: &guest_program(&request.init)?,
        topology: &topology,
        clock: request.clock,
        virtualization: request.virtualization,
        kernel_args: &request.kernel_args,
    };
    make(backend.as_ref(), &of, output, &|| false).map_err(host)
}

fn attached(request: &Attach, output: &Path) -> Result<(), SessionError> {
    let plan = request.declared.resolve("declared").map_err(usage)?;
    let (backend, topology) = machine(request.backend, request.emulator.as_ref(), &request.topology, request.clock)?;
    let scheduler = scheduler::load(&request.scheduler.below(Path::new("")), &plan).map_err(of_scheduler)?;
    let agent = guest_program(&request.agent)?;
    let directory = super::make::directory_beside(output).map_err(host)?;
    let of = AttachmentOf {
        booted: &SavedMachine::unpack(&request.from, directory.path()).map_err(host)?,
        agent: &agent,
        scheduler: &scheduler,
        plan: &plan,
        topology: &topology,
        clock: request.clock,
    };
    attach(backend.as_ref(), &of, output, &|| false).map_err(host)
}

/// What makes the machine, and its topology.
fn machine(
    kind: Backend,
    emulator: Option<&Emulator>,
    topology: &TopologySpec,
    clock: Clock,
) -> Result<(Box<dyn MachineBackend>, Topology), SessionError> {
    let topology = topology.clone().resolve("topology").map_err(usage)?;
    let taken = Taken::new(kind, emulator);
    taken.check(&topology, clock, "topology").map_err(usage)?;
    Ok((taken.machines.map_err(host)?, topology))
}

fn guest_program(path: &Path) -> Result<Vec<u8>, SessionError> {
    std::fs::read(path).map_err(|error| host(format!("cannot read the guest program {}: {error}", path.display())))
}

/// A scheduler that cannot be packed is the user's.
fn of_scheduler(error: InputError) -> SessionError {
    match error {
        InputError::Read { .. } => host(error),
        error => usage(error),
    }
}

fn read(path: &Path) -> Result<Request, SessionError> {
    let json = std::fs::read_to_string(path)
        .map_err(|error| usage(format!("cannot read the request {}: {error}", path.display())))?;
    let refuse = |problem: String| usage(format!("{}: {problem}", path.display()));
    let request: RequestFile = field::from_json(&json).map_err(|error| refuse(error.to_string()))?;
    match request {
        RequestFile { version, .. } if version != REQUEST_VERSION => {
            Err(refuse(format!("version {version} is not {REQUEST_VERSION}")))
        }
        RequestFile { boot: Some(boot), attach: None, .. } => Ok(Request::Boot(boot)),
        RequestFile { boot: None, attach: Some(attach), .. } => Ok(Request::Attach(attach)),
        _ => Err(refuse("it is to have either `boot` or `attach`".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"version": 2, "boot": {"backend": "tcg", "clock": "virtual", "emulator": {"binary": "/nowhere/qemu"},
        "init": "/nowhere/init", "kernel": "/nowhere/vmlinux", "kernel_args": [],
        "topology": {"numa_nodes": 1, "llcs": 1, "cores_per_llc": 2, "threads_per_core": 1}}}"#;

    const ATTACH: &str = r#"{"version": 2, "attach": {"backend": "tcg", "clock": "virtual", "emulator": {"binary": "/nowhere/qemu"},
        "agent": "/nowhere/agent", "from": "/nowhere/snapshot", "scheduler": {"program": "/bin/sh", "files": {}},
        "declared": {"name": "scx_x", "args": ["-s"]},
        "topology": {"numa_nodes": 1, "llcs": 1, "cores_per_llc": 2, "threads_per_core": 1}}}"#;

    fn refusal(json: &str) -> (u8, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let request = directory.path().join("request.json");
        std::fs::write(&request, json).expect("writes");
        let args = SnapshotArgs { request, output: directory.path().join("snapshot") };
        let error = snapshot_file(&args).expect_err("refused");
        (error.exit_status(), error.to_string())
    }

    #[test]
    fn says_what_cannot_be() {
        let (status, text) = refusal(&JSON.replace("\"kernel\"", "\"kernl\""));
        assert!(status == 2 && text.contains("kernl"), "{text}");
        let (status, text) = refusal(&JSON.replace("\"version\": 2", "\"version\": 9"));
        assert!(status == 2 && text.ends_with("version 9 is not 2"), "{text}");
        let (status, text) = refusal(&JSON.replace("\"cores_per_llc\": 2", "\"cores_per_llc\": 64"));
        assert!(status == 2 && text.contains("at most 32 under the virtual clock"), "{text}");
        let (status, text) = refusal(&JSON.replace("\"boot\": {", "\"boot\": {\"virtualization\": true, "));
        assert!(status == 2 && text.ends_with("under the virtual clock; clock = \"real\" would do"), "{text}");
        let (status, text) = refusal(JSON);
        assert!(status == 3 && text.starts_with("cannot read the guest program /nowhere/init"), "{text}");
        let (status, text) = refusal(&JSON.replace("\"tcg\"", "\"kvm\""));
        assert!(status == 2 && text.starts_with("clock: the back end kvm has no virtual clock"), "{text}");
        let (status, text) = refusal(&JSON.replace("\"emulator\": {\"binary\": \"/nowhere/qemu\"},", ""));
        assert!(status == 3 && text.starts_with("no qemu-system-x86_64 on PATH"), "{text}");
    }
    #[test]
    fn says_what_cannot_be_attached() {
        let (status, text) = refusal(&ATTACH.replace("\"name\": \"scx_x\"", "\"name\": \"a b\""));
        assert!(status == 2 && text.starts_with("declared.name: \"a b\" is not a name"), "{text}");
        let (status, text) = refusal(&ATTACH.replace("[\"-s\"]", "[\"-s\"], \"files\": [\"/etc/x\"]"));
        assert!(status == 2 && text.starts_with("the scheduler scx_x reads /etc/x, and no file is named"), "{text}");
        let (status, text) = refusal(&ATTACH.replace("/bin/sh", "/nowhere/scx"));
        assert!(status != 0 && text.contains("/nowhere/scx"), "{text}");
        let (status, text) = refusal(r#"{"version": 2}"#);
        assert!(status == 2 && text.ends_with("it is to have either `boot` or `attach`"), "{text}");
    }
}
