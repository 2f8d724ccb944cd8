//! A running emulator as a [`Machine`].

use super::evidence::{classify, has_triple_fault, Evidence};
use super::process::Process;
use super::qmp::{poll_until, Qmp};
use super::{files, registers};
use crate::console::{find_panic, ConsoleTail};
use crate::{CpuRegisters, Exit, GuestMemory, HostTime, Instants, Machine, MachineError};
use rustix::event::{PollFd, PollFlags};
use rustix::thread::Pid;
use serde_json::{json, Value};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Time for one command; the emulator answers between two blocks of guest code.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct TcgMachine {
    pub(super) process: Process,
    pub(super) qmp: Qmp,
    pub(super) version: String,
    pub(super) memory: GuestMemory,
    pub(super) console: ConsoleTail,
    pub(super) directory: PathBuf,
    /// The threads of the CPUs; none under the virtual clock, under which all CPUs are one thread.
    pub(super) threads: Vec<Pid>,
    /// Or why there are none.
    pub(super) instants: Result<Instants, &'static str>,
    pub(super) exit: Option<Exit>,
}

impl TcgMachine {
    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, MachineError> {
        if self.exit.is_some() {
            return Err(MachineError::Ended);
        }
        self.qmp.execute(command, arguments, COMMAND_TIMEOUT)
    }

    /// Gathers what the emulator left, and decides.
    fn conclude(&mut self, status: ExitStatus, killed: bool) -> Result<Exit, MachineError> {
        // What it said last is still in the socket.
        self.qmp.drain().map_err(host("read the control socket"))?;
        let evidence = Evidence {
            code: status.code(),
            status: status.to_string(),
            shutdown: self.qmp.shutdown(),
            killed,
            triple_fault: has_triple_fault(&self.directory.join(files::RESETS)).map_err(host("read the reset log"))?,
            panic: find_panic(&self.directory.join(files::CONSOLE)).map_err(host("read the console"))?,
            log: self.process.log(),
        };
        let exit = classify(evidence);
        tracing::debug!(%exit, "machine ended");
        self.exit = Some(exit.clone());
        Ok(exit)
    }
}

/// The threads of the CPUs, in the order of their numbers, as the emulator answers `query-cpus-fast`.
pub(super) fn threads(answer: &Value) -> Vec<Pid> {
    let number = |cpu: &Value, name| cpu.get(name).and_then(Value::as_i64);
    let thread = |cpu| Some((number(cpu, "cpu-index")?, Pid::from_raw(number(cpu, "thread-id")?.try_into().ok()?)?));
    let mut threads: Vec<_> = answer.as_array().into_iter().flatten().filter_map(thread).collect();
    threads.sort_unstable_by_key(|(cpu, _)| *cpu);
    threads.into_iter().map(|(_, thread)| thread).collect()
}

fn host(doing: &'static str) -> impl Fn(std::io::Error) -> MachineError {
    move |source| MachineError::Host { doing, source }
}

impl Machine for TcgMachine {
    fn version(&self) -> &str {
        &self.version
    }

    fn wait(&mut self, timeout: Duration) -> Result<Option<Exit>, MachineError> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(1 << 30));
        loop {
            if let Some(exit) = &self.exit {
                return Ok(Some(exit.clone()));
            }
            if let Some(status) = self.process.ended().map_err(host("watch the emulator"))? {
                return self.conclude(status, false).map(Some);
            }
            self.qmp.drain().map_err(host("read the control socket"))?;
            let process = self.process.as_pollable();
            let control = self.qmp.as_pollable();
            let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
            fds.extend(control.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
            if !poll_until(&mut fds, deadline).map_err(host("wait for the emulator"))? {
                return Ok(None);
            }
        }
    }

    fn pause(&mut self) -> Result<(), MachineError> {
        self.execute("stop", json!({})).map(drop)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        self.execute("cont", json!({})).map(drop)
    }

    fn stop(&mut self) -> Result<Exit, MachineError> {
        if let Some(exit) = self.wait(Duration::ZERO)? {
            return Ok(exit);
        }
        let status = self.process.kill().map_err(host("end the emulator"))?;
        // It may have ended by itself since it was last asked; then its status says so.
        self.conclude(status, status.code().is_none())
    }

    fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    fn vcpu_times(&self) -> Vec<HostTime> {
        let process = self.process.id().to_string();
        let times = self.threads.iter().map(|thread| HostTime::of_thread(&process, *thread));
        times.collect::<Option<_>>().unwrap_or_default()
    }

    fn console(&mut self) -> Result<Vec<u8>, MachineError> {
        self.console.read_new().map_err(host("read the console"))
    }

    fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    fn registers(&mut self) -> Result<Vec<CpuRegisters>, MachineError> {
        let command = "info registers -a";
        let answer = self.execute("human-monitor-command", json!({"command-line": command}))?;
        let cpus = registers::parse(answer.as_str().unwrap_or_default());
        if cpus.is_empty() {
            return Err(MachineError::Answer { command: command.into(), problem: answer.to_string() });
        }
        Ok(cpus)
    }

    fn instants(&mut self) -> Result<Instants, MachineError> {
        std::mem::replace(&mut self.instants, Err("they were given out"))
            .map_err(|reason| MachineError::NoInstants { reason })
    }
}
