//! Where the machine of a case begins: what a declaration asks for, and what a case comes to with the snapshots that there are.

use serde::{Deserialize, Serialize};

/// Where a declaration wants its machines to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartSpec {
    /// Each case boots.
    #[default]
    Boot,
    /// Each case starts from a machine that has booted, and attaches the scheduler by itself: for tests of the attach.
    Attach,
    /// Each case starts from a machine that has gone as far as all cases go together: with the scheduler attached, if there is one.
    Snapshot,
}

/// Where the machine of a case begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartMode {
    /// At the kernel's entry.
    #[default]
    Boot,
    /// From a snapshot: a machine that booted once and was saved for all cases with the same kernel, topology, command line and clock.
    Snapshot,
    /// From a snapshot of a machine in which the scheduler under test is attached, with its arguments and files.
    Attached,
}

impl StartSpec {
    /// Where a case begins; `attached`: there is a snapshot in which its scheduler is attached.
    pub fn mode(self, attached: bool) -> StartMode {
        match self {
            Self::Boot => StartMode::Boot,
            Self::Snapshot if attached => StartMode::Attached,
            Self::Attach | Self::Snapshot => StartMode::Snapshot,
        }
    }

    /// Whether it is the default; for serde.
    pub(crate) fn is_boot(&self) -> bool {
        *self == Self::Boot
    }
}

impl StartMode {
    /// The name as reports show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Snapshot => "snapshot",
            Self::Attached => "attached",
        }
    }

    /// Name of the input that is the snapshot; none: there is none.
    pub fn snapshot(self) -> Option<&'static str> {
        (self != Self::Boot).then(|| self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_snapshot_can_be_an_attached_one() {
        let modes =
            |attached| [StartSpec::Boot, StartSpec::Attach, StartSpec::Snapshot].map(|spec| spec.mode(attached));
        assert_eq!(modes(false), [StartMode::Boot, StartMode::Snapshot, StartMode::Snapshot]);
        assert_eq!(modes(true), [StartMode::Boot, StartMode::Snapshot, StartMode::Attached]);
    }
}
