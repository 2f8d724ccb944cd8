//! Makes machines for the tests.

use ktstr_model::{Clock, Placement, Topology};
use ktstr_testing::MicroGuest;
use ktstr_vmm::{Emulator, Exit, KvmBackend, Machine, MachineBackend, MachineSpec, SavedMachine, Start, TcgBackend};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const VARIABLE: &str = "KTSTR_EMULATOR";
const BACKEND: &str = "KTSTR_BACKEND";

/// Whether the suite runs on KVM; otherwise on the emulator. Where the two may differ stands in `main.rs`.
pub(crate) fn on_kvm() -> bool {
    match std::env::var(BACKEND).as_deref() {
        Ok("kvm") => true,
        Ok("tcg") | Err(_) => false,
        Ok(other) => panic!("{BACKEND} is {other}: kvm or tcg"),
    }
}

/// The clocks that the back end offers.
pub(crate) fn clocks() -> Vec<Clock> {
    backend().capabilities().clocks.iter().map(|(clock, _)| *clock).collect()
}

pub(crate) fn emulator() -> Emulator {
    let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        panic!("{VARIABLE} is not set: the JSON file of an emulator, or the path of qemu-system-x86_64");
    };
    if path.extension().is_some_and(|extension| extension == "json") {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    Emulator::installed(path)
}

pub(crate) fn backend() -> Box<dyn MachineBackend> {
    if on_kvm() {
        return Box::new(KvmBackend);
    }
    Box::new(TcgBackend::new(emulator()))
}

pub(crate) fn one_cpu() -> Topology {
    Topology::new(1, 1, 1, 1).expect("can be")
}

/// A micro-guest with a directory, not yet started.
pub(crate) struct Prepared {
    pub(crate) directory: TempDir,
    pub(crate) spec: MachineSpec,
}

impl Prepared {
    pub(crate) fn new(guest: &MicroGuest) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let kernel = directory.path().join("guest.elf");
        std::fs::write(&kernel, guest.image()).expect("writes");
        let spec = MachineSpec {
            start: Start::Boot,
            topology: one_cpu(),
            clock: Clock::Real,
            virtualization: false,
            placement: Placement::default(),
            seed: 1,
            instants: None,
            kernel,
            initramfs: None,
            command_line: String::new(),
            window: None,
            directory: directory.path().into(),
        };
        Self { directory, spec }
    }

    pub(crate) fn under(mut self, topology: Topology, clock: Clock) -> Self {
        self.spec.topology = topology;
        self.spec.clock = clock;
        self
    }

    /// Adds a window file that begins with `content`.
    pub(crate) fn with_window(mut self, content: &[u8]) -> Self {
        let path = self.directory.path().join("window");
        std::fs::write(&path, content).expect("writes");
        let file = std::fs::File::options().write(true).open(&path).expect("opens");
        file.set_len(64 << 20).expect("grows");
        self.spec.window = Some(path);
        self
    }

    pub(crate) fn window(&self) -> &Path {
        self.spec.window.as_deref().expect("has a window")
    }

    /// Boots it and saves it; the directory goes with the value.
    pub(crate) fn save(&self) -> Save {
        let directory = tempfile::tempdir().expect("a directory");
        let saved =
            backend().save(&self.spec, directory.path(), &mut |_| None).unwrap_or_else(|error| panic!("{error}"));
        Save { directory, saved }
    }

    /// The same machine, but from `save`.
    pub(crate) fn from(mut self, save: &Save) -> Self {
        self.spec.start = Start::Saved(save.saved.clone());
        self
    }

    pub(crate) fn start(&self) -> Box<dyn Machine> {
        backend().start(&self.spec).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(&self) -> (Exit, Box<dyn Machine>) {
        let mut machine = self.start();
        let exit = machine.wait(PATIENCE).expect("can be watched").expect("ends by itself");
        (exit, machine)
    }
}

/// A saved machine.
pub(crate) struct Save {
    pub(crate) directory: TempDir,
    pub(crate) saved: SavedMachine,
}

/// How `guest` ends on a plain machine.
pub(crate) fn exit_of(guest: &MicroGuest) -> Exit {
    Prepared::new(guest).run().0
}

/// Waits until `condition` holds; the machine's progress has no event to wait for.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
