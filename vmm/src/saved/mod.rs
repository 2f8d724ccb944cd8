//! Machines that were saved at an instruction of their guest's choice, and start from there.
//!
//! ```text
//! MachineBackend::save ──▶ directory ──pack──▶ one file, about a fifth ──unpack──▶ directory ──▶ Start::Saved
//!                            ram0, ram1, …  the RAM of each node, sparse
//!                            state          CPUs and devices
//!                            saved.json     what it fits to, and the digest of each file
//! ```
//!
//! A [`SavedMachine`] is proof that the content was compared with its digests: only [`SavedMachine::open`], [`SavedMachine::unpack`] and a
//! save give one. That costs a pass over the RAM (0.1 to 0.3 s for a Linux guest), so a program opens a save once and starts any
//! number of machines from it. Whoever changes the files afterwards changes the machines.

mod content;
mod description;
mod error;
mod host;
mod pack;

pub use description::Description;
pub use error::SavedError;

pub(crate) use content::for_each_page;
pub(crate) use description::FORMAT;
pub(crate) use host::real_clock_host;

use crate::{ram, GuestMemory, StartError};
use description::FileDescription;
use ktstr_model::Topology;
use std::fs::File;
use std::path::{Path, PathBuf};

/// CPUs and devices.
pub(crate) const STATE: &str = "state";
const DESCRIPTION: &str = "saved.json";

/// The file that holds the RAM of `node`.
pub(crate) fn ram_name(node: usize) -> String {
    format!("ram{node}")
}

/// A save whose content was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMachine {
    directory: PathBuf,
    description: Description,
}

impl SavedMachine {
    /// Takes the save in `directory` after a look at all of it.
    ///
    /// # Errors
    /// A file is missing, or its content is not what was saved.
    pub fn open(directory: &Path) -> Result<Self, SavedError> {
        let path = directory.join(DESCRIPTION);
        let text = std::fs::read(&path).map_err(|source| SavedError::file("read", &path, source))?;
        let description = Description::parse(&text, &path)?;
        for expected in &description.files {
            let path = directory.join(&expected.name);
            let seen = describe_file(directory, &expected.name)?;
            if seen != *expected {
                return Err(SavedError::Damaged { path, seen: seen.summary(), expected: expected.summary() });
            }
        }
        Ok(Self { directory: directory.to_owned(), description })
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it fits to.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The RAM of the saved machine, to look at.
    ///
    /// # Errors
    /// The save is not one of a machine with this topology.
    pub fn memory(&self, topology: &Topology) -> Result<GuestMemory, StartError> {
        Ok(ram::shared(topology, &ram::open_in(&self.directory, topology)?, None))
    }

    /// Writes the save into one file: equal saves give equal bytes.
    ///
    /// # Errors
    /// A file of the save cannot be read, or `into` cannot be written.
    pub fn pack(&self, into: &Path) -> Result<(), SavedError> {
        pack::pack(&self.directory, &self.description, into)
    }

    /// Writes what [`Self::pack`] made into the new or empty `directory`; what is zero becomes a hole.
    ///
    /// # Errors
    /// `packed` is damaged or is no such file, or `directory` cannot be written.
    pub fn unpack(packed: &Path, directory: &Path) -> Result<Self, SavedError> {
        let description = pack::unpack(packed, directory)?;
        write_description(directory, &description)?;
        Ok(Self { directory: directory.to_owned(), description })
    }

    /// Describes the files that a back end has written into `directory`: the RAM of `nodes` nodes and the state.
    pub(crate) fn seal(directory: &Path, nodes: usize, mut description: Description) -> Result<Self, SavedError> {
        let names = (0..nodes).map(ram_name).chain([STATE.to_owned()]);
        description.files = names.map(|name| describe_file(directory, &name)).collect::<Result<_, _>>()?;
        write_description(directory, &description)?;
        Ok(Self { directory: directory.to_owned(), description })
    }
}

fn describe_file(directory: &Path, name: &str) -> Result<FileDescription, SavedError> {
    let path = directory.join(name);
    let describe = || {
        let file = File::open(&path)?;
        let sha256 = content::digest(&file)?;
        Ok(FileDescription { name: name.to_owned(), bytes: file.metadata()?.len(), sha256 })
    };
    describe().map_err(|source| SavedError::file("read", &path, source))
}

fn write_description(directory: &Path, description: &Description) -> Result<(), SavedError> {
    let path = directory.join(DESCRIPTION);
    std::fs::write(&path, description.to_json()).map_err(|source| SavedError::file("write", &path, source))
}

#[cfg(test)]
mod tests;
