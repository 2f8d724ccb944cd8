//! Makes machines: spec → open files → process → conversation → running machine.

use super::arguments::{arguments, Boot, Inherited};
use super::machine::TcgMachine;
use super::memory_map::{self, WINDOW_BYTES_MAX};
use super::process::Process;
use super::qmp::Qmp;
use super::{files, Emulator};
use crate::console::ConsoleTail;
use crate::memory::Segment;
use crate::spec::WINDOW_ALIGNMENT;
use crate::{Capabilities, Gpa, GuestMemory, Machine, MachineBackend, MachineError, MachineSpec, StartError};
use ktstr_model::{Backend, Clock, Mebibytes, Topology};
use rustix::fs::MemfdFlags;
use serde_json::{json, Value};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time for an emulator to come up; with 250 CPUs on a busy host that is seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Most CPUs: under the real clock what was seen to boot; under the virtual clock all CPUs share 125 million instructions a second,
/// and 64 of them do not reach init in two minutes.
const CLOCKS: &[(Clock, u32)] = &[(Clock::Real, 256), (Clock::Virtual, 32)];

const CAPABILITIES: Capabilities = Capabilities {
    backend: Backend::Tcg,
    clocks: CLOCKS,
    numa_nodes_max: 64,
    memory_max: Mebibytes(256 << 10),
    // The emulator's exit status is a byte and holds (code << 1) | 1.
    exit_code_max: 127,
    repeatable: true,
};

/// Makes emulated machines.
#[derive(Debug, Clone)]
pub struct TcgBackend {
    emulator: Emulator,
}

impl TcgBackend {
    /// A back end that uses `emulator`; whether it is there is seen at the first start.
    pub fn new(emulator: Emulator) -> Self {
        Self { emulator }
    }
}

impl MachineBackend for TcgBackend {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn window_at(&self, topology: &Topology) -> Gpa {
        memory_map::window_at(topology)
    }

    fn start(&self, spec: &MachineSpec) -> Result<Box<dyn Machine>, StartError> {
        self.check(&spec.topology, spec.clock, "topology")?;
        let invocation = self.emulator.invocation()?;
        let kernel = readable("kernel", &spec.kernel)?;
        let initramfs = spec.initramfs.as_deref().map(|path| readable("initramfs", path)).transpose()?;
        let ram = make_ram(&spec.topology)?;
        let window = spec.window.as_deref().map(open_window).transpose()?;
        let console = make_console(&spec.directory)?;
        let (control, theirs) =
            UnixStream::pair().map_err(|source| StartError::Host { doing: "make the control socket", source })?;

        let inherited = Inherited {
            control: theirs.as_raw_fd(),
            ram: ram.iter().map(|file| file.as_raw_fd()).collect(),
            window: window.as_ref().map(|(file, bytes)| (file.as_raw_fd(), *bytes)),
        };
        let boot = Boot { kernel: &kernel, initramfs: initramfs.as_deref(), command_line: &spec.command_line };
        let arguments = arguments(&spec.topology, spec.clock, spec.seed, boot, &inherited);
        let mut open = inherited.ram;
        open.push(inherited.control);
        open.extend(inherited.window.map(|(file, _)| file));
        let mut process = Process::start(&invocation, &arguments, &spec.directory, open)?;
        // With our copy of its end closed, its death is an end of the stream.
        drop(theirs);

        let window_at = window.is_some().then(|| self.window_at(&spec.topology));
        let (qmp, version) = converse(control, window_at).map_err(|error| explain(error, &mut process))?;
        tracing::debug!(%version, topology = %spec.topology, clock = spec.clock.name(), "machine runs");
        let memory = guest_memory(&spec.topology, &ram, window.zip(window_at));
        Ok(Box::new(TcgMachine {
            process,
            qmp,
            version,
            memory,
            console,
            directory: spec.directory.clone(),
            exit: None,
        }))
    }
}

/// The steps of a start: the machine is made and stands still; it is as it should be; it goes on.
fn converse(control: UnixStream, window_at: Option<Gpa>) -> Result<(Qmp, String), MachineError> {
    let (mut qmp, version) = Qmp::connect(control, START_TIMEOUT)?;
    if let Some(at) = window_at {
        let command = "query-memory-devices";
        let devices = qmp.execute(command, json!({}), START_TIMEOUT)?;
        let seen = devices.pointer("/0/data/addr").and_then(Value::as_u64);
        if seen != Some(at.0) {
            let seen = seen.map_or_else(|| "nowhere".to_owned(), |seen| Gpa(seen).to_string());
            let problem = format!("the window is at {seen}, and the guest was told {at}; {version} is not supported");
            return Err(MachineError::Answer { command: command.into(), problem });
        }
    }
    qmp.execute("cont", json!({}), START_TIMEOUT)?;
    Ok((qmp, version))
}

/// An emulator that does not come up either has ended, and its log says why, or does not do as it is told.
fn explain(error: MachineError, process: &mut Process) -> StartError {
    let status = match error {
        // The socket is closed an instant before the process has ended.
        MachineError::Ended => process.wait_briefly(),
        _ => None,
    };
    let log = process.log();
    match status {
        Some(status) => StartError::EmulatorEnded { status: status.to_string(), log },
        None => StartError::EmulatorUnusable { problem: error.to_string(), log },
    }
}

fn readable(what: &'static str, path: &Path) -> Result<PathBuf, StartError> {
    let unusable = |source| StartError::File { what, path: path.into(), source };
    File::open(path).map_err(unusable)?;
    std::path::absolute(path).map_err(unusable)
}

fn make_ram(topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
    let make = |bytes: u64| -> io::Result<Arc<File>> {
        let file = File::from(rustix::fs::memfd_create("ram", MemfdFlags::CLOEXEC)?);
        file.set_len(bytes)?;
        Ok(Arc::new(file))
    };
    let host = |source| StartError::Host { doing: "make the machine's memory", source };
    memory_map::node_bytes(topology).into_iter().map(make).collect::<io::Result<_>>().map_err(host)
}

fn open_window(path: &Path) -> Result<(File, u64), StartError> {
    let unusable = |source| StartError::File { what: "window", path: path.into(), source };
    let file = File::options().read(true).write(true).open(path).map_err(unusable)?;
    let bytes = file.metadata().map_err(unusable)?.len();
    if bytes == 0 || bytes > WINDOW_BYTES_MAX || !bytes.is_multiple_of(WINDOW_ALIGNMENT) {
        return Err(StartError::WindowSize { path: path.into(), bytes, granule: WINDOW_ALIGNMENT });
    }
    Ok((file, bytes))
}

/// The console is there before the emulator, so that it can be followed from the start.
fn make_console(directory: &Path) -> Result<ConsoleTail, StartError> {
    let path = directory.join(files::CONSOLE);
    let open = || -> io::Result<ConsoleTail> {
        File::create(&path)?;
        ConsoleTail::open(&path)
    };
    open().map_err(|source| StartError::File { what: "console", path: path.clone(), source })
}

fn guest_memory(topology: &Topology, ram: &[Arc<File>], window: Option<((File, u64), Gpa)>) -> GuestMemory {
    let ranges = memory_map::ram_ranges(topology).into_iter();
    let mut segments: Vec<Segment> = ranges
        .filter_map(|range| {
            let file = ram.get(range.node)?.clone();
            Some(Segment { start: range.start, bytes: range.bytes, file, offset: range.offset })
        })
        .collect();
    segments.extend(window.map(|((file, bytes), start)| Segment { start, bytes, file: Arc::new(file), offset: 0 }));
    GuestMemory::new(segments)
}
