//! Failures of the guest on purpose, to see how they are reported. All are made by a real kernel's own means.

use crate::litter;
use crate::sys::kexec;
use crate::workers::Workers;
use ktstr_init::controllers;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use ktstr_model::spec::Fault;
use rustix::system::RebootCommand;
use std::fs;
use std::io;

/// Makes the guest fail.
///
/// # Errors
/// The kernel refuses.
pub fn cause(fault: Fault, workers: &mut Workers, reporter: &mut Reporter) -> Result<(), GuestError> {
    Err(match fault {
        Fault::Escape => return escape(workers),
        Fault::Litter => return litter::leave(reporter),
        Fault::Panic => {
            let triggered = fs::write("/proc/sysrq-trigger", "c");
            refused("make the kernel panic through /proc/sysrq-trigger", triggered)
                .hint("the kernel has to be built with CONFIG_MAGIC_SYSRQ")
        }
        Fault::Hang => refused("hang the machine through kexec", Err(kexec::hang()))
            .hint("the kernel has to be built with CONFIG_KEXEC, and not locked down"),
        Fault::Reboot => refused("restart the machine", reboot(RebootCommand::Restart)),
        Fault::PowerOff => refused("switch the machine off", reboot(RebootCommand::PowerOff)),
    })
}

/// Moves the first worker that is alive to the root cgroup.
fn escape(workers: &mut Workers) -> Result<(), GuestError> {
    let Some((_, worker)) = workers.alive().next() else {
        return Err(GuestError::new("let a worker escape", "no worker is alive"));
    };
    let path = format!("{}/cgroup.procs", controllers::MOUNT);
    fs::write(&path, worker.pid.as_raw_nonzero().to_string()).doing(|| format!("let a worker escape to {path}"))
}

fn reboot(command: RebootCommand) -> io::Result<()> {
    rustix::system::reboot(command).map_err(io::Error::from)
}

fn refused(doing: &str, result: io::Result<()>) -> GuestError {
    match result {
        Ok(()) => GuestError::new(doing, "the kernel came back from it"),
        Err(error) => GuestError::new(doing, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_refused() {
        let error = refused("restart the machine", Err(io::Error::from_raw_os_error(1)));
        assert_eq!(error.to_string(), "failed to restart the machine: Operation not permitted (os error 1)");
        let error = refused("restart the machine", Ok(()));
        assert_eq!(error.problem, "the kernel came back from it");
    }
}
