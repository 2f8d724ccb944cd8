//! Where on the host a machine runs: what keeps the host out of what is measured.

use crate::{Backend, FieldError, Mebibytes, Topology};
use serde::{Deserialize, Serialize};

/// What a machine is to have of the host for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Placement {
    /// Each CPU's thread stays on a CPU of the host of its own.
    pub pin_cpus: bool,
    /// RAM is huge pages of the host's pool, all of them taken before the guest runs.
    pub huge_pages: bool,
}

/// Size of a huge page.
pub const HUGE_PAGE: Mebibytes = Mebibytes(2);

impl Placement {
    /// Whether it asks for nothing; for serde.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a back end can do it, with a machine of this topology, which stands at `path`.
    ///
    /// # Errors
    /// The field that asks for too much.
    pub fn check(self, backend: Backend, topology: &Topology, path: &str) -> Result<(), FieldError> {
        if let (Some(field), Backend::Tcg) = (self.first(), backend) {
            let problem =
                "the back end tcg does not place its machines: what is measured on it is mostly the emulator's doing";
            return Err(FieldError::new(field, problem).hint("backend = \"kvm\", or leave it away"));
        }
        let Mebibytes(page) = HUGE_PAGE;
        let node = topology.node_memory().into_iter().find(|node| node.0 % page != 0).filter(|_| self.huge_pages);
        node.map_or(Ok(()), |node| {
            let problem = format!("a NUMA node of {node} is not made of huge pages of {HUGE_PAGE}");
            let whole = topology.memory().0.next_multiple_of(page * u64::from(topology.numa_nodes()));
            Err(FieldError::new(format!("{path}.memory"), problem).hint(format!("{} would do", Mebibytes(whole))))
        })
    }

    /// The first field that asks for something.
    fn first(self) -> Option<&'static str> {
        self.pin_cpus.then_some("pin_cpus").or(self.huge_pages.then_some("huge_pages"))
    }
}
