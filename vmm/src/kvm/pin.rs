//! CPUs of the host that a machine has for itself: one for each of its own.
//!
//! Machines of several tests run on one host, each in a process that knows nothing of the others. So a machine takes a lock on each
//! CPU that it keeps, the kernel's own directory of it, and the next machine takes others if there are enough. If there are not, they share:
//! what they take from each other is measured like all that the host takes from a machine.

use crate::StartError;
use rustix::fs::{flock, FlockOperation};
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
use std::fs::File;
use std::io;

/// A CPU of the host; nobody else takes it for as long as this is there.
#[derive(Debug)]
pub(super) struct HostCpu {
    pub(super) number: usize,
    _lock: Option<File>,
}

/// A CPU of the host for each of `cpus`, of those that this process may use.
pub(super) fn host_cpus(cpus: u32) -> Result<Vec<HostCpu>, StartError> {
    let allowed = sched_getaffinity(None)
        .map_err(|source| StartError::Host { doing: "see which CPUs this process may use", source: source.into() })?;
    let usable: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let wanted = cpus as usize;
    if usable.len() < wanted {
        return Err(StartError::TooFewHostCpus { machine: wanted, host: usable.len() });
    }
    let (mut taken, mut shared) = (Vec::new(), Vec::new());
    for number in usable {
        match lock(number) {
            lock @ Some(_) if taken.len() < wanted => taken.push(HostCpu { number, _lock: lock }),
            _ => shared.push(HostCpu { number, _lock: None }),
        }
    }
    taken.extend(shared);
    taken.truncate(wanted);
    Ok(taken)
}

/// None: another machine has it, or nobody can have it.
fn lock(number: usize) -> Option<File> {
    let cpu = File::open(format!("/sys/devices/system/cpu/cpu{number}")).ok()?;
    flock(&cpu, FlockOperation::NonBlockingLockExclusive).ok().map(|()| cpu)
}

/// Keeps the calling thread on a CPU of the host.
pub(super) fn stay_on(number: usize) -> io::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(number);
    Ok(sched_setaffinity(None, &cpus)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_take_other_cpus_as_long_as_there_are_some() {
        let Err(StartError::TooFewHostCpus { host, .. }) = host_cpus(u32::MAX) else { panic!("no host has so many") };
        let machines: Vec<_> = (0..host).map(|_| host_cpus(1).expect("is given one")).collect();
        // Other processes may have some.
        let mut locked: Vec<_> =
            machines.iter().flatten().filter(|cpu| cpu._lock.is_some()).map(|cpu| cpu.number).collect();
        let count = locked.len();
        locked.sort_unstable();
        locked.dedup();
        assert_eq!(locked.len(), count, "{locked:?}");
        assert_eq!(host_cpus(host as u32).expect("shares them").len(), host);
    }
}
