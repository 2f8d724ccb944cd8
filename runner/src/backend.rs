//! What runs machines: `what was asked for, what the host has ──▶ Choice ──▶ Taken`.
//!
//! Under Bazel the choice was made when the test was analysed, and stands in its declaration. Without Bazel, and only if nobody says
//! what to take, the host is looked at. A back end that was asked for and cannot be is never replaced by another one.

use ktstr_model::{Backend, Clock, FieldError, Topology};
use ktstr_vmm::kvm::genuine::{self, Answer};
use ktstr_vmm::{Emulator, KvmBackend, MachineBackend, TcgBackend};
use std::sync::OnceLock;

/// What a command line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BackendArg {
    /// KVM where the host's is genuine and the clock is real.
    Auto,
    /// Our VMM on KVM.
    Kvm,
    /// QEMU without hardware virtualization.
    Tcg,
}

impl BackendArg {
    pub(crate) fn name(self) -> &'static str {
        self.backend().map_or("auto", Backend::name)
    }

    fn backend(self) -> Option<Backend> {
        match self {
            Self::Auto => None,
            Self::Kvm => Some(Backend::Kvm),
            Self::Tcg => Some(Backend::Tcg),
        }
    }
}

/// What the host's KVM is worth; it is measured once a process.
pub(crate) fn kvm_of_host() -> &'static Answer {
    static ANSWER: OnceLock<Answer> = OnceLock::new();
    ANSWER.get_or_init(genuine::look)
}

/// A back end, and why it is that one if nobody asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) backend: Backend,
    /// In one line, such as `tcg: …`.
    pub(crate) why: Option<String>,
}

impl Choice {
    /// By the command line, else by the declaration, else by the clocks and by what `kvm` says of the host.
    pub(crate) fn new<'a>(
        asked: Option<BackendArg>,
        declared: Option<Backend>,
        clocks: &[Clock],
        kvm: impl FnOnce() -> &'a Answer,
    ) -> Self {
        if let Some(backend) = asked.map_or(declared, BackendArg::backend) {
            return Self { backend, why: None };
        }
        let (backend, why) = if clocks.contains(&Clock::Virtual) {
            (Backend::Tcg, "only the emulator has the virtual clock".to_owned())
        } else {
            let answer = kvm();
            (if answer.is_genuine() { Backend::Kvm } else { Backend::Tcg }, answer.to_string())
        };
        Self { backend, why: Some(format!("{}: {why}", backend.name())) }
    }
}

/// A back end that was chosen, and what makes its machines, if it can be.
pub(crate) struct Taken {
    pub(crate) kind: Backend,
    /// Otherwise why not, and what to do.
    pub(crate) machines: Result<Box<dyn MachineBackend>, String>,
}

impl Taken {
    /// `emulator` is the one that the machines would run on.
    pub(crate) fn new(kind: Backend, emulator: Option<&Emulator>) -> Self {
        let machines = match (kind, emulator) {
            (Backend::Tcg, Some(emulator)) => {
                Ok(Box::new(TcgBackend::new(emulator.clone())) as Box<dyn MachineBackend>)
            }
            (Backend::Tcg, None) => {
                Err(format!("no {EMULATOR} on PATH: install Debian's qemu-system-x86, or name one with --emulator"))
            }
            (Backend::Kvm, _) => on_kvm(kvm_of_host()),
        };
        Self { kind, machines }
    }

    /// The emulator, if machines run on it: on KVM it is no input of theirs.
    pub(crate) fn input<'a>(&self, emulator: Option<&'a Emulator>) -> Option<&'a Emulator> {
        emulator.filter(|_| self.kind == Backend::Tcg)
    }

    /// As of [`MachineBackend::check`]; of a back end that is not there, as far as that can be known.
    pub(crate) fn check(&self, topology: &Topology, clock: Clock, path: &str) -> Result<(), FieldError> {
        match (&self.machines, self.kind) {
            (Ok(machines), _) => machines.check(topology, clock, path),
            (Err(_), Backend::Kvm) => KvmBackend.check(topology, clock, path),
            (Err(_), Backend::Tcg) => Ok(()),
        }
    }

    pub(crate) fn machines(&self) -> Result<&dyn MachineBackend, &str> {
        self.machines.as_deref().map_err(String::as_str)
    }
}

/// What an emulator is called where it is installed.
pub(crate) const EMULATOR: &str = "qemu-system-x86_64";

fn on_kvm(answer: &Answer) -> Result<Box<dyn MachineBackend>, String> {
    if answer.is_genuine() {
        return Ok(Box::new(KvmBackend));
    }
    let without = "the back end tcg needs no KVM (--backend tcg, under Bazel --@ktstr//rules:backend=tcg)";
    Err(format!("the back end kvm was asked for, and {answer}; {without}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_vmm::kvm::genuine::{Kvm, RunsIt};

    fn host(kvm: Kvm) -> Answer {
        Answer { kvm, runs_it: RunsIt { modules: vec!["kvm_x".into()], flags: vec![] } }
    }

    #[test]
    fn what_is_asked_for_is_taken_and_auto_looks_at_the_clock_and_at_the_host() {
        let (real, fake) = (host(Kvm::Genuine { ratio: 1.0 }), host(Kvm::Software { ratio: 480.0 }));
        let slow = "tcg: /dev/kvm is software virtualization (kvm_x), 480 times slower than the host";
        let (auto, kvm, tcg) = (Some(BackendArg::Auto), Some(BackendArg::Kvm), Some(BackendArg::Tcg));
        let only_real = [Clock::Real];
        for (asked, declared, clocks, host, backend, why) in [
            (
                None,
                None,
                only_real.as_slice(),
                &real,
                Backend::Kvm,
                Some("kvm: /dev/kvm is genuine (kvm_x), 1.0 times the host's time"),
            ),
            (None, None, &only_real, &fake, Backend::Tcg, Some(slow)),
            (auto, Some(Backend::Kvm), &only_real, &fake, Backend::Tcg, Some(slow)),
            (
                None,
                None,
                &[Clock::Real, Clock::Virtual],
                &real,
                Backend::Tcg,
                Some("tcg: only the emulator has the virtual clock"),
            ),
            (kvm, Some(Backend::Tcg), &[Clock::Virtual], &fake, Backend::Kvm, None),
            (tcg, None, &only_real, &real, Backend::Tcg, None),
            (None, Some(Backend::Kvm), &only_real, &fake, Backend::Kvm, None),
        ] {
            let choice = Choice::new(asked, declared, clocks, || host);
            assert_eq!(choice, Choice { backend, why: why.map(str::to_owned) }, "{asked:?} {declared:?} {clocks:?}");
        }
    }

    #[test]
    fn there_is_no_silent_change_of_the_back_end() {
        let refused = on_kvm(&host(Kvm::Denied)).err().expect("refused");
        assert!(
            refused.starts_with("the back end kvm was asked for, and this process may not open /dev/kvm; add"),
            "{refused}"
        );
        assert!(
            refused.ends_with("the back end tcg needs no KVM (--backend tcg, under Bazel --@ktstr//rules:backend=tcg)")
        );
        assert!(on_kvm(&host(Kvm::Genuine { ratio: 2.0 })).is_ok());
        let missing = Taken::new(Backend::Tcg, None).machines.err().expect("refused");
        assert_eq!(
            missing,
            "no qemu-system-x86_64 on PATH: install Debian's qemu-system-x86, or name one with --emulator"
        );
        assert!(Taken::new(Backend::Tcg, Some(&Emulator::installed("/x"))).machines.is_ok());
    }

    #[test]
    fn a_back_end_that_is_not_there_refuses_what_it_could_not_do_either() {
        let taken = Taken { kind: Backend::Kvm, machines: Err("none".into()) };
        let topology = Topology::new(1, 1, 1, 1).expect("can be");
        let refused = taken.check(&topology, Clock::Virtual, "t").expect_err("refused").to_string();
        assert_eq!(refused, "clock: the back end kvm has no virtual clock; clock = \"real\" would do");
        assert_eq!(taken.input(Some(&Emulator::installed("/x"))), None);
    }
}
