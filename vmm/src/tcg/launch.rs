//! From a spec to an emulator that answers and stands still: open files → process → conversation.

use super::arguments::{arguments, Inherited, Origin};
use super::process::Process;
use super::qmp::Qmp;
use super::{files, gate, Emulator};
use crate::console::ConsoleTail;
use crate::window::OpenWindow;
use crate::{Gpa, Instants, MachineError, MachineSpec, StartError};
use ktstr_model::Clock;
use serde_json::{json, Value};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Time for an emulator to come up; with 250 CPUs on a busy host that is seconds.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A machine whose CPUs stand still.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) process: Process,
    pub(super) qmp: Qmp,
    pub(super) version: String,
    pub(super) window: Option<OpenWindow>,
    pub(super) console: ConsoleTail,
    pub(super) console_path: PathBuf,
    pub(super) instants: Result<Instants, &'static str>,
}

/// Starts an emulator for `spec` with `ram` as its memory; `also` is what else it finds open.
pub(super) fn launch(
    emulator: &Emulator,
    spec: &MachineSpec,
    origin: Origin<'_>,
    ram: &[Arc<File>],
    also: &[RawFd],
) -> Result<Launched, StartError> {
    let gate = (spec.clock == Clock::Virtual).then(gate::make).transpose();
    let gate = gate.map_err(|source| StartError::Host { doing: "make a file for a library", source })?;
    let gate = gate.as_ref().map(AsRawFd::as_raw_fd);
    let socket = |source| StartError::Host { doing: "make a socket for instants of guest time", source };
    let (looks, stands) = spec.instants.map(|_| UnixStream::pair()).transpose().map_err(socket)?.unzip();
    let invocation = emulator.invocation(gate, stands.as_ref().map(AsRawFd::as_raw_fd))?;
    let window = OpenWindow::of(spec)?;
    let console_path = spec.directory.join(files::CONSOLE);
    let console = ConsoleTail::create(&console_path)?;
    let (control, theirs) =
        UnixStream::pair().map_err(|source| StartError::Host { doing: "make the control socket", source })?;
    let inherited = Inherited {
        control: theirs.as_raw_fd(),
        ram: ram.iter().map(|file| file.as_raw_fd()).collect(),
        window: window.as_ref().map(|window| (window.file.as_raw_fd(), window.bytes)),
    };
    let arguments = arguments(spec, origin, &inherited);
    let mut open = inherited.ram;
    open.push(inherited.control);
    open.extend(inherited.window.map(|(file, _)| file));
    open.extend(gate);
    open.extend(stands.as_ref().map(AsRawFd::as_raw_fd));
    open.extend(also);
    let mut process = Process::start(&invocation, &arguments, &spec.directory, open)?;
    // With our copy of its end closed, its death is an end of the stream; so for the other pair.
    drop((theirs, stands));
    let window_at = window.as_ref().map(|window| window.at);
    match converse(control, window_at) {
        Ok((qmp, version)) => {
            let instants = instants(looks, spec);
            Ok(Launched { process, qmp, version, window, console, console_path, instants })
        }
        Err(error) => Err(explain(error, &mut process)),
    }
}

impl Launched {
    /// Has the emulator do `work`; what goes wrong is explained by what it said.
    pub(super) fn steer<T>(&mut self, work: impl FnOnce(&mut Qmp) -> Result<T, MachineError>) -> Result<T, StartError> {
        work(&mut self.qmp).map_err(|error| explain(error, &mut self.process))
    }
}

/// The first words: the machine is made, and it is as it should be.
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
    Ok((qmp, version))
}

/// The instants of an emulator that has come up. By then the library in it has said that it can stand still, or it never does.
fn instants(stream: Option<UnixStream>, spec: &MachineSpec) -> Result<Instants, &'static str> {
    let (mut stream, interval) = stream.zip(spec.instants).ok_or("none were asked for")?;
    let mut able = || -> std::io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.read_exact(&mut [0; size_of::<u64>()])?;
        stream.set_nonblocking(false)
    };
    let absent = "this emulator does not show where its CPUs have had a turn and what guest time is (the symbols qemu_cpu_list_lock, \
                  bql_locked and icount_get); the toolchain's emulator does";
    able().map_err(|_| absent)?;
    Ok(Instants::new(stream, interval, spec.topology.cpus()))
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
