//! A directory of snapshots for `ktstr run`, each under a name that says what it is of.

use super::{kernel_line, make, MakeError, SnapshotOf};
use crate::inputs::{hash, hash_of, read, InputError};
use crate::stop::Stop;
use ktstr_model::Case;
use ktstr_vmm::{Emulator, Gpa, MachineBackend};
use serde_json::json;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};

/// Digits of the key in a name.
const KEY_DIGITS: usize = 16;

/// Snapshots of one kernel, stage one and emulator.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    kernel: PathBuf,
    init: Vec<u8>,
    /// Digests of kernel, stage one and emulator.
    digests: [String; 3],
}

impl Store {
    /// Snapshots of a prepared `kernel` in `directory`, which need not be there.
    pub(crate) fn new(directory: PathBuf, kernel: &Path, init: &Path, emulator: &Emulator) -> Result<Self, InputError> {
        let init = read("guest program", init)?;
        let digests = [hash_of("kernel", kernel)?, hash(&init), hash_of("emulator", &emulator.binary)?];
        Ok(Self { directory, kernel: kernel.to_owned(), init, digests })
    }

    /// The snapshots that `cases` start from, by the label of their topology.
    pub(crate) fn for_cases(
        &self,
        backend: &dyn MachineBackend,
        cases: &[Case],
        stop: &Stop,
    ) -> Result<BTreeMap<String, PathBuf>, MakeError> {
        let mut files = BTreeMap::new();
        for Case { topology, clock, kernel_args, .. } in cases {
            if let Entry::Vacant(entry) = files.entry(topology.to_string()) {
                let of = SnapshotOf { kernel: &self.kernel, init: &self.init, topology, clock: *clock, kernel_args };
                entry.insert(self.get(backend, &of, stop)?);
            }
        }
        Ok(files)
    }

    /// The file of a snapshot, which is made if it is not there.
    fn get(&self, backend: &dyn MachineBackend, of: &SnapshotOf<'_>, stop: &Stop) -> Result<PathBuf, MakeError> {
        let path = self.directory.join(self.name(of, backend.window_at(of.topology)));
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
        println!("{}: boots for a snapshot, {}", of.topology, path.display());
        make(backend, of, unfinished.path(), &|| stop.reason().is_some())?;
        unfinished.persist(&path).map_err(|error| unwritable(&path, error.error))?;
        Ok(path)
    }

    fn name(&self, of: &SnapshotOf<'_>, window_at: Gpa) -> String {
        // Another version of this program may boot in another way.
        let line = kernel_line(window_at, of.kernel_args);
        let key = json!([env!("CARGO_PKG_VERSION"), self.digests, of.topology, of.clock, line]).to_string();
        let key = hash(key.as_bytes());
        format!("{}-{}-{}.snapshot", of.topology, of.clock.name(), key.get(..KEY_DIGITS).unwrap_or(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::{Clock, Topology};

    #[test]
    fn names_differ_with_everything_that_a_snapshot_is_of() {
        let store = |digest: &str| Store {
            directory: "/nowhere".into(),
            kernel: "k".into(),
            init: Vec::new(),
            digests: [digest.into(), "init".into(), "emulator".into()],
        };
        let topology = Topology::new(1, 1, 2, 1).expect("can be");
        let other = Topology::new(1, 2, 1, 1).expect("can be");
        let name = |digest: &str, topology: &Topology, clock, args: &[String]| {
            store(digest).name(
                &SnapshotOf { kernel: Path::new("k"), init: b"", topology, clock, kernel_args: args },
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
}
