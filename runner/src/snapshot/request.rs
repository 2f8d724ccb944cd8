//! `ktstr snapshot`: makes the snapshot that a file asks for. The file is written by the rule for snapshots; its paths are below the
//! directory in which the command runs.

use super::{make, SnapshotOf};
use crate::cli::SnapshotArgs;
use crate::session::{backend, host, usage, SessionError};
use ktstr_model::topology::TopologySpec;
use ktstr_model::{field, Backend, Clock};
use ktstr_vmm::Emulator;
use serde::Deserialize;
use std::path::{Path, PathBuf};

const REQUEST_VERSION: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    version: u32,
    backend: Backend,
    clock: Clock,
    emulator: Emulator,
    init: PathBuf,
    kernel: PathBuf,
    kernel_args: Vec<String>,
    topology: TopologySpec,
}

/// Makes a snapshot.
///
/// # Errors
/// A request that cannot be; a guest that does not come to its save point; files that cannot be written.
pub(crate) fn snapshot_file(args: &SnapshotArgs) -> Result<(), SessionError> {
    let request = read(&args.request)?;
    let topology = request.topology.resolve("topology").map_err(usage)?;
    let Some(backend) = backend(request.backend, &request.emulator) else {
        return Err(host(format!("this program has no back end {}", request.backend.name())));
    };
    backend.check(&topology, request.clock, "topology").map_err(usage)?;
    let init = std::fs::read(&request.init)
        .map_err(|error| host(format!("cannot read the guest program {}: {error}", request.init.display())))?;
    let of = SnapshotOf {
        kernel: &request.kernel,
        init: &init,
        topology: &topology,
        clock: request.clock,
        kernel_args: &request.kernel_args,
    };
    make(backend.as_ref(), &of, &args.output, &|| false).map_err(host)
}

fn read(path: &Path) -> Result<Request, SessionError> {
    let json = std::fs::read_to_string(path)
        .map_err(|error| usage(format!("cannot read the request {}: {error}", path.display())))?;
    let refuse = |problem: String| usage(format!("{}: {problem}", path.display()));
    let request: Request = field::from_json(&json).map_err(|error| refuse(error.to_string()))?;
    if request.version != REQUEST_VERSION {
        return Err(refuse(format!("version {} is not {REQUEST_VERSION}", request.version)));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"version": 1, "backend": "tcg", "clock": "virtual", "emulator": {"binary": "/nowhere/qemu"},
        "init": "/nowhere/init", "kernel": "/nowhere/vmlinux", "kernel_args": [],
        "topology": {"numa_nodes": 1, "llcs": 1, "cores_per_llc": 2, "threads_per_core": 1}}"#;

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
        let (status, text) = refusal(&JSON.replace("\"version\": 1", "\"version\": 9"));
        assert!(status == 2 && text.ends_with("version 9 is not 1"), "{text}");
        let (status, text) = refusal(&JSON.replace("\"cores_per_llc\": 2", "\"cores_per_llc\": 64"));
        assert!(status == 2 && text.contains("at most 32 under the virtual clock"), "{text}");
        let (status, text) = refusal(JSON);
        assert!(status == 3 && text.starts_with("cannot read the guest program /nowhere/init"), "{text}");
        let (status, text) = refusal(&JSON.replace("\"tcg\"", "\"kvm\""));
        assert!(status == 3 && text == "this program has no back end kvm", "{text}");
    }
}
