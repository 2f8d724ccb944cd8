//! A directory of snapshots for `ktstr run`, each under a name that says what it is of.

use super::{attach, kernel_line, make, AttachmentOf, MakeError, SnapshotOf};
use crate::inputs::{hash, hash_of, read, InputError, SnapshotPaths};
use crate::stop::Stop;
use ktstr_model::{Backend, Case, Clock, SchedulerPlan, Topology};
use ktstr_vmm::{Emulator, Gpa, MachineBackend, SavedMachine};
use serde_json::{json, Value};
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};

/// Digits of the key in a name.
const KEY_DIGITS: usize = 16;

/// Snapshots of one kernel and stage one, on one back end.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    kernel: PathBuf,
    init: Vec<u8>,
    /// Digests of kernel, stage one and emulator; in place of an emulator that is not there, the back end.
    digests: [String; 3],
}

/// What is attached in a snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToAttach<'a> {
    pub(crate) agent: &'a [u8],
    /// The packed files of the scheduler.
    pub(crate) scheduler: &'a [u8],
}

impl Store {
    /// Snapshots of `kernel`, as machines boot it, in `directory`, which need not be there.
    pub(crate) fn new(
        directory: PathBuf,
        kernel: &Path,
        init: &Path,
        emulator: Option<&Emulator>,
    ) -> Result<Self, InputError> {
        let init = read("guest program", init)?;
        let emulator = emulator.map(|emulator| hash_of("emulator", &emulator.binary)).transpose()?;
        let emulator = emulator.unwrap_or_else(|| Backend::Kvm.name().to_owned());
        let digests = [hash_of("kernel", kernel)?, hash(&init), emulator];
        Ok(Self { directory, kernel: kernel.to_owned(), init, digests })
    }

    /// The snapshots that `cases` start from. With `to_attach` those with their scheduler attached are among them.
    pub(crate) fn for_cases(
        &self,
        backend: &dyn MachineBackend,
        cases: &[Case],
        to_attach: Option<ToAttach<'_>>,
        stop: &Stop,
    ) -> Result<SnapshotPaths, MakeError> {
        let mut paths = SnapshotPaths { booted: BTreeMap::new(), attached: BTreeMap::new() };
        for case in cases {
            let Case { topology, clock, kernel_args, plan, .. } = case;
            let label = topology.to_string();
            let booted = match paths.booted.entry(label) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let of = SnapshotOf {
                        kernel: &self.kernel,
                        init: &self.init,
                        topology,
                        clock: *clock,
                        virtualization: false,
                        kernel_args,
                    };
                    entry.insert(self.booted(backend, &of, stop)?)
                }
            };
            let Some((to_attach, scheduler)) = to_attach.zip(plan.scheduler.as_ref()) else { continue };
            if let Entry::Vacant(entry) = paths.attached.entry(case.attached()) {
                let of = Attached { booted, to_attach, scheduler, topology, clock: *clock };
                entry.insert(self.attached(backend, &of, stop)?);
            }
        }
        Ok(paths)
    }

    /// The snapshot of a machine that has booted.
    fn booted(&self, backend: &dyn MachineBackend, of: &SnapshotOf<'_>, stop: &Stop) -> Result<PathBuf, MakeError> {
        let path = self.directory.join(self.name(of, backend.window_at(of.topology)));
        self.get(path, |path, unfinished| {
            println!("{}: boots for a snapshot, {}", of.topology, path.display());
            make(backend, of, unfinished, &|| stop.reason().is_some())
        })
    }

    /// The snapshot of a machine with a scheduler attached, or why there is none.
    fn attached(&self, backend: &dyn MachineBackend, of: &Attached<'_>, stop: &Stop) -> Result<PathBuf, MakeError> {
        let path = self.directory.join(self.attached_name(of, &hash_of("snapshot", of.booted)?));
        self.get(path, |path, unfinished| {
            println!("{}: attaches {} for a snapshot, {}", of.topology, of.scheduler.name, path.display());
            let directory = super::make::directory_beside(unfinished)?;
            let booted = SavedMachine::unpack(of.booted, directory.path())
                .map_err(|source| MakeError::From { path: of.booted.to_owned(), source })?;
            let ToAttach { agent, scheduler } = of.to_attach;
            let Attached { topology, clock, scheduler: plan, .. } = *of;
            let of = AttachmentOf { booted: &booted, agent, scheduler, plan, topology, clock };
            attach(backend, &of, unfinished, &|| stop.reason().is_some())
        })
    }

    /// The file at `path`, which is made if it is not there: `make` is told its name and where it is to be written.
    fn get(
        &self,
        path: PathBuf,
        make: impl FnOnce(&Path, &Path) -> Result<(), MakeError>,
    ) -> Result<PathBuf, MakeError> {
        if path.is_file() {
            return Ok(path);
        }
        let unwritable = |path: &Path, source| MakeError::Write { path: path.to_owned(), source };
        std::fs::create_dir_all(&self.directory).map_err(|source| unwritable(&self.directory, source))?;
        // Under its name there is never a part of a snapshot, whoever else writes here.
        let unfinished = tempfile::Builder::new()
            .prefix("unfinished-")
            .tempfile_in(&self.directory)
            .map_err(|source| unwritable(&self.directory, source))?;
        make(&path, unfinished.path())?;
        unfinished.persist(&path).map_err(|error| unwritable(&path, error.error))?;
        Ok(path)
    }

    fn name(&self, of: &SnapshotOf<'_>, window_at: Gpa) -> String {
        let line = kernel_line(window_at, of.kernel_args);
        let key = key(&json!([self.digests, of.topology, of.clock, line]));
        format!("{}-{}-{key}.snapshot", of.topology, of.clock.name())
    }

    /// `from` is the digest of the snapshot that it starts from, which has all of that in it.
    fn attached_name(&self, of: &Attached<'_>, from: &str) -> String {
        let [.., emulator] = &self.digests;
        let Attached { topology, clock, to_attach: ToAttach { agent, scheduler }, .. } = *of;
        let key = key(&json!([emulator, topology, clock, from, hash(agent), hash(scheduler), of.scheduler]));
        format!("{topology}-{}-{}-{key}.attached", clock.name(), of.scheduler.name)
    }
}

/// What a snapshot with a scheduler attached is of.
struct Attached<'a> {
    booted: &'a Path,
    to_attach: ToAttach<'a>,
    scheduler: &'a SchedulerPlan,
    topology: &'a Topology,
    clock: Clock,
}

/// Of everything that decides; another version of this program may make snapshots in another way.
fn key(of: &Value) -> String {
    let key = hash(json!([env!("CARGO_PKG_VERSION"), of]).to_string().as_bytes());
    key.get(..KEY_DIGITS).unwrap_or(&key).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::Nanos;

    fn store(digest: &str) -> Store {
        Store {
            directory: "/nowhere".into(),
            kernel: "k".into(),
            init: Vec::new(),
            digests: [digest.into(), "init".into(), "emulator".into()],
        }
    }

    #[test]
    fn names_differ_with_everything_that_a_snapshot_is_of() {
        let topology = Topology::new(1, 1, 2, 1).expect("can be");
        let other = Topology::new(1, 2, 1, 1).expect("can be");
        let name = |digest: &str, topology: &Topology, clock, args: &[String]| {
            store(digest).name(
                &SnapshotOf {
                    kernel: Path::new("k"),
                    init: b"",
                    topology,
                    clock,
                    virtualization: false,
                    kernel_args: args,
                },
                Gpa(0x1_0000_0000),
            )
        };
        let first = name("a", &topology, Clock::Virtual, &[]);
        assert!(first.starts_with("1n1l2c1t-virtual-") && first.ends_with(".snapshot"), "{first}");
        assert_eq!(first, name("a", &topology, Clock::Virtual, &[]));
        let others = [
            name("b", &topology, Clock::Virtual, &[]),
            name("a", &other, Clock::Virtual, &[]),
            name("a", &topology, Clock::Real, &[]),
            name("a", &topology, Clock::Virtual, &["nosmt".into()]),
        ];
        assert!(others.iter().all(|other| *other != first), "{first}: {others:?}");
    }

    #[test]
    fn an_attached_one_differs_with_the_scheduler_too() {
        let topology = Topology::new(1, 1, 2, 1).expect("can be");
        let name = |from: &str, agent: &[u8], files: &[u8], argument: &str| {
            let (name, args) = ("scx_x".to_owned(), vec![argument.to_owned()]);
            let scheduler = SchedulerPlan { name, args, files: vec![], attach_max: Nanos(1), detach_max: Nanos(1) };
            let to_attach = ToAttach { agent, scheduler: files };
            let of = Attached {
                booted: Path::new("b"),
                to_attach,
                scheduler: &scheduler,
                topology: &topology,
                clock: Clock::Virtual,
            };
            store("a").attached_name(&of, from)
        };
        let first = name("00", b"a", b"s", "-x");
        assert!(first.starts_with("1n1l2c1t-virtual-scx_x-") && first.ends_with(".attached"), "{first}");
        assert_eq!(first, name("00", b"a", b"s", "-x"));
        let others = [
            name("11", b"a", b"s", "-x"),
            name("00", b"b", b"s", "-x"),
            name("00", b"a", b"t", "-x"),
            name("00", b"a", b"s", "-y"),
        ];
        assert!(others.iter().all(|other| *other != first), "{first}: {others:?}");
    }
}
