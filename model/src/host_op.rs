//! What the host does in the memory of the guest's kernel while the guest waits: `read_map`, `write_map`, `read_kernel`, `write_kernel`.
//!
//! The guest is told a number only. It names the number in the window and waits; the host looks it up here, does it, and records what came of it.

use crate::monitor::SeriesSpec;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An op of a case, in the order in which the guest comes to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostOp {
    /// Index of its step.
    pub step: u32,
    /// Where it is declared: `scenario[0].ops[1].read_map`.
    pub path: String,
    /// Of which variable.
    pub variable: Variable,
    /// What is done to it.
    pub access: Access,
}

/// A number in the kernel's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variable {
    /// In a BPF map; the name is not used.
    Map(SeriesSpec),
    /// Of the kernel.
    Kernel(KernelVariable),
}

/// A variable of the kernel, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelVariable {
    /// Its symbol, or `MODULE:SYMBOL`.
    pub symbol: String,
    /// Path to a number in it: `scx.nr_running`, `->exit_kind.counter`. Empty: the variable itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// Its type, as in C: `u64`, `struct scx_sched *`. Not needed where the kernel's BTF says it, which it does of per-CPU variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_type: Option<String>,
    /// Of which CPU, if each has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
}

/// What is done to a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// It is read.
    Read {
        /// What it has to be; none: it is only recorded.
        expect: Option<i128>,
    },
    /// It gets this value.
    Write(i128),
}

impl fmt::Display for HostOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.access {
            Access::Read { .. } => write!(f, "read {}", self.variable),
            Access::Write(value) => write!(f, "write {value} to {}", self.variable),
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(SeriesSpec { map, field, key, .. }) => {
                if !field.is_empty() {
                    write!(f, "{field} of ")?;
                }
                write!(f, "map {map}")?;
                match key {
                    // One that is no index is rather an address or a set of bits.
                    Some(key) if *key >= 1 << 16 => write!(f, "[{key:#x}]"),
                    Some(key) => write!(f, "[{key}]"),
                    None => Ok(()),
                }
            }
            Self::Kernel(KernelVariable { symbol, field, cpu, .. }) => {
                let dot = if field.is_empty() || field.starts_with(['-', '[']) { "" } else { "." };
                write!(f, "{symbol}{dot}{field}")?;
                cpu.map_or(Ok(()), |cpu| write!(f, " of CPU {cpu}"))
            }
        }
    }
}

/// What became of an op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostOpResult {
    /// It was read, and this is its value.
    Read(i128),
    /// It was written.
    Written,
    /// It could not be done, and why.
    Failed(String),
}
