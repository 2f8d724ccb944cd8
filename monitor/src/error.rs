//! Why something cannot be read from a guest.

use crate::page_table::Gva;
use ktstr_btf::{BtfError, FieldError};
use ktstr_vmm::MemoryError;

/// A kernel that is not found in a machine.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Its image has no such symbol.
    #[error("the kernel has no symbol {0}: it needs CONFIG_KALLSYMS_ALL")]
    NoSymbol(&'static str),
    /// It is not there.
    #[error("the kernel is nowhere in the machine's memory: is the image the one that the machine runs?")]
    NotFound,
    /// It is there, but has not set itself up.
    #[error("the kernel is in the machine's memory, and not through its boot")]
    Boots,
    /// The machine went away meanwhile.
    #[error("the machine went away while its kernel was read")]
    Gone,
    /// It does not know its CPUs.
    #[error("the kernel says that it has {0} CPUs: is it through its boot?")]
    Cpus(u32),
    /// Its memory cannot be read.
    #[error("the kernel cannot be read")]
    Read(#[from] ReadError),
}

impl KernelError {
    /// Whether it may be there later, in a machine that boots.
    pub fn is_early(&self) -> bool {
        !matches!(self, Self::NoSymbol(_) | Self::Read(ReadError::NoSymbol(_) | ReadError::Field(_)))
    }
}

/// Something in a kernel that cannot be read, or written.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing is mapped there.
    #[error("the kernel has nothing mapped at {0}")]
    Unmapped(Gva),
    /// It is mapped, but no memory is there.
    #[error("the kernel's memory cannot be read")]
    Memory(#[from] MemoryError),
    /// The kernel has no such symbol.
    #[error("the kernel has no symbol `{0}`")]
    NoSymbol(String),
    /// The kernel has no such field.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The types of a BPF object or a module cannot be used.
    #[error("the types of a BPF object or a module cannot be used")]
    Types(#[from] BtfError),
    /// There is no such CPU.
    #[error("there is no CPU {cpu}: the kernel has {cpus}")]
    NoCpu {
        /// Which was asked for.
        cpu: usize,
        /// How many there are.
        cpus: usize,
    },
    /// The way there leads through a pointer that is NULL.
    #[error("a pointer in `{0}` is NULL")]
    Null(String),
    /// It is too large to be true.
    #[error("`{what}` says {seen}, and {most} is the most that can be")]
    Absurd {
        /// Which value.
        what: &'static str,
        /// What was read.
        seen: u64,
        /// The most that can be.
        most: u64,
    },
    /// There is no such module.
    #[error("module `{name}` is not loaded{}", hint(.near))]
    NoModule {
        /// Its name.
        name: String,
        /// Modules with names that are like it.
        near: Vec<String>,
    },
    /// There is no such map.
    #[error("there is no BPF map `{name}`{}", hint(.near))]
    NoMap {
        /// Its name.
        name: String,
        /// Maps with names that are like it.
        near: Vec<String>,
    },
    /// Elements of maps of other kinds are not known here.
    #[error("maps of its kind cannot be read: arrays and hash maps can, with one value or with one for each CPU")]
    UnknownKind,
    /// A map has no such element.
    #[error("map {map} has no such element")]
    NoElement {
        /// Its name.
        map: String,
    },
    /// A number is too large or too small for its field.
    #[error("`{field}` cannot be {number}: it holds {least} to {most}")]
    NoRoom {
        /// Path of the field.
        field: String,
        /// The number.
        number: i128,
        /// The least that it can be.
        least: i128,
        /// The most that it can be.
        most: i128,
    },
    /// It is damaged, or the guest changed it meanwhile.
    #[error("{0} leads back into itself")]
    Loop(&'static str),
    /// It is made in a way that is not known.
    #[error("{0} is not one that is known here")]
    Unknown(&'static str),
    /// The guest changed it again and again while it was read.
    #[error("{0} was another one each time that it was read")]
    Torn(&'static str),
}

fn hint(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("; there is `{}`", near.join("`, `"))
}

impl ReadError {
    /// Whether it says that this kernel does not have such a thing, and nothing else.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoSymbol(_) | Self::Field(FieldError::Absent { .. }))
    }
}

/// `None` of what this kernel does not have.
pub(crate) fn if_there<T>(result: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match result {
        Err(error) if error.is_absence() => Ok(None),
        result => result.map(Some),
    }
}
