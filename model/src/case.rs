//! A case: one run of one machine, everything that decides what it does.

use crate::{Check, ExpectedFailure, HostOp, MonitorSpec, Placement, Plan, StartMode, Topology};
use serde::{Deserialize, Serialize};

/// What runs the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// QEMU without hardware virtualization.
    Tcg,
    /// Our VMM on KVM.
    Kvm,
}

impl Backend {
    /// The name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

/// What guest time follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The host's clock.
    Real,
    /// Executed instructions: a noisy host cannot be seen in the guest.
    Virtual,
}

impl Clock {
    /// The name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Virtual => "virtual",
        }
    }
}

/// The content of one input of a case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Input {
    /// What it is: `agent`, `emulator`, `runner`; `scheduler` of a case that has one; `kernel` and `init` of a case that boots,
    /// `snapshot` or `attached` of one that starts from such a snapshot.
    pub name: String,
    /// Lower-case hexadecimal SHA-256 of its content.
    pub sha256: String,
}

/// One run of one machine. A case is the function of its fields and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Unique within its target: `target[1n2l4c2t][s3]`.
    pub name: String,
    /// The machine.
    pub topology: Topology,
    /// What runs it.
    pub backend: Backend,
    /// What its time follows.
    pub clock: Clock,
    /// Where its machine begins.
    #[serde(default)]
    pub start: StartMode,
    /// What it has of the host for itself.
    #[serde(default, skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// Varies when things happen in the guest.
    pub seed: u64,
    /// Name of its flag profile, if the declaration has profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What the host looks at meanwhile; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorSpec>,
    /// Added to the kernel's command line.
    pub kernel_args: Vec<String>,
    /// What the guest does.
    pub plan: Plan,
    /// What the host does in the memory of the guest's kernel, where the plan says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ops: Vec<HostOp>,
    /// What is judged.
    pub checks: Vec<Check>,
    /// The failure that has to happen; none: there must be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_failure: Option<ExpectedFailure>,
    /// Contents of the files that the case is made of, in the order of their names.
    pub inputs: Vec<Input>,
}

impl Case {
    /// Which snapshot with the scheduler attached it may start from: the labels of its topology and of its flag profile, which is empty
    /// where there are none.
    pub fn attached(&self) -> (String, String) {
        (self.topology.to_string(), self.profile.clone().unwrap_or_default())
    }
}
