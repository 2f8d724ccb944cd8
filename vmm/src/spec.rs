//! What a machine is made of.

use crate::SavedMachine;
use ktstr_model::{Clock, Nanos, Placement, Topology};
use std::path::PathBuf;

/// Everything that decides what a machine is. The same spec gives the same machine, and under the virtual clock the same run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// Where it begins.
    pub start: Start,
    /// CPUs, caches, nodes, memory.
    pub topology: Topology,
    /// What guest time follows.
    pub clock: Clock,
    /// Whether the CPUs have AMD's virtualization (SVM), so that the guest can be a host itself. A machine for tests of virtual machines, not of
    /// schedulers: vendor and caches are not those of the others.
    pub virtualization: bool,
    /// What it has of the host for itself. A save is of no placement, and machines of any start from it.
    pub placement: Placement,
    /// Under the virtual clock: what varies the run. What the guest drew before a save is in the save: a machine that starts from it
    /// takes no other seed for that, and what varies it comes through its window.
    pub seed: u64,
    /// Under the virtual clock: the machine stands still where it starts and as soon as guest time has reached a multiple of this, until
    /// the owner of [`crate::Machine::instants`] has looked. The run is the same with and without. On the way to a save it does not.
    pub instants: Option<Nanos>,
    /// An ELF file with a PVH entry: a decompressed kernel, or a micro-guest; or a bzImage, which may move its kernel.
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

/// Where a machine begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the kernel's entry.
    Boot,
    /// Behind the instruction by which the guest of a save stopped itself. Kernel, initial RAM file system and command line are those
    /// of the save, and the spec's are not looked at; topology, clock and the window's size have to be those of the save. The
    /// window is the machine's own: the guest finds its new content where the old one was.
    Saved(SavedMachine),
}

/// Size granule of a window: a large page, which is what the guest may map it with.
pub const WINDOW_ALIGNMENT: u64 = 2 << 20;
