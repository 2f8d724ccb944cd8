//! What a machine is made of.

use ktstr_model::{Clock, Topology};
use std::path::PathBuf;

/// Everything that decides what a machine is. The same spec gives the same machine, and under the virtual clock the same run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// CPUs, caches, nodes, memory.
    pub topology: Topology,
    /// What guest time follows.
    pub clock: Clock,
    /// Under the virtual clock: what varies the run.
    pub seed: u64,
    /// An ELF file with a PVH entry: a decompressed kernel, or a micro-guest.
    pub kernel: PathBuf,
    /// The initial RAM file system.
    pub initramfs: Option<PathBuf>,
    /// The whole command line; [`crate::command_line`] makes the standard part.
    pub command_line: String,
    /// A file that becomes a part of guest memory, shared both ways, at [`crate::MachineBackend::window_at`]. Its size is a multiple of
    /// [`WINDOW_ALIGNMENT`].
    pub window: Option<PathBuf>,
    /// A directory that nothing else uses: console and logs go there.
    pub directory: PathBuf,
}

/// Size granule of a window: a large page, which is what the guest may map it with.
pub const WINDOW_ALIGNMENT: u64 = 2 << 20;
