//! A machine that runs until its guest stops it, what is saved of it, and the way back.

use super::arch::{Architecture, Native};
use super::machine::KvmMachine;
use super::registers::DevicesState;
use crate::patience::{not_reached, Patience};
use crate::saved::STATE;
use crate::{Machine, MachineSpec, SavedError, Start, StartError};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};

/// CPUs and devices of a save: its file `state`.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub(super) cpus: Vec<<Native as Architecture>::CpuState>,
    pub(super) vm: <Native as Architecture>::VmState,
    pub(super) devices: DevicesState,
}

impl State {
    /// Reads what [`State::write`] wrote.
    pub(super) fn read(directory: &Path) -> Result<Self, StartError> {
        let path = directory.join(STATE);
        let bytes =
            std::fs::read(&path).map_err(|source| SavedError::File { doing: "read", path: path.clone(), source })?;
        let foreign = |error: postcard::Error| SavedError::Foreign { path: path.clone(), problem: error.to_string() };
        Ok(postcard::from_bytes(&bytes).map_err(foreign)?)
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), StartError> {
        let path = directory.join(STATE);
        let written =
            postcard::to_stdvec(self).map_err(std::io::Error::other).and_then(|bytes| std::fs::write(&path, bytes));
        Ok(written.map_err(|source| SavedError::File { doing: "write", path, source })?)
    }

    /// Has new CPUs and controllers stand where the saved ones stood.
    pub(super) fn restore(&self, vm: &VmFd, cpus: &[VcpuFd]) -> Result<(), StartError> {
        // The controllers first: what the CPUs' own ones hold refers to them.
        Native::restore_vm(vm, &self.vm)?;
        cpus.iter().zip(&self.cpus).try_for_each(|(cpu, state)| Native::restore_cpu(cpu, state))
    }
}

/// Between two looks at the CPU time.
const LOOK: Duration = Duration::from_millis(50);

/// Lets `machine` run until its guest stops itself, and writes its state into `into`.
pub(super) fn save(
    mut machine: KvmMachine,
    kvm: &Kvm,
    spec: &MachineSpec,
    into: &Path,
    give_up: &mut dyn FnMut(Duration) -> Option<String>,
) -> Result<(), StartError> {
    let host = |error: crate::MachineError| StartError::Host {
        doing: "watch the machine",
        source: std::io::Error::other(error),
    };
    machine.resume().map_err(host)?;
    // What a guest does behind a save, only the caller knows.
    let mut patience = (spec.start == Start::Boot).then(|| Patience::new(spec.topology.cpus(), Instant::now()));
    while !machine.shared.control.at_save(LOOK) {
        let cpu_time = machine.cpu_time();
        let reason = match machine.wait(Duration::ZERO).map_err(host)? {
            Some(exit) => Some(format!("the machine ended ({exit})")),
            None => give_up(cpu_time).or_else(|| patience.as_mut()?.reason(cpu_time, Instant::now())),
        };
        if let Some(seen) = reason {
            return Err(not_reached(seen, &mut machine.console).into());
        }
    }
    // A kernel that tells of its panic on the way to the port stops the machine, too.
    if let Some(message) = machine.panic().map_err(host)? {
        return Err(not_reached(format!("the kernel panicked: {message}"), &mut machine.console).into());
    }
    machine.state(kvm)?.write(into)
}
