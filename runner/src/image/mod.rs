//! What a machine boots: `bzImage or ELF ──kernel──▶ ELF with a PVH entry` (or the bzImage itself, if it is to move), `init ──initramfs──▶ cpio archive`.
//! Same input, same bytes.

mod bzimage;
mod elf;
mod features;
mod initramfs;
mod kernel;
mod options;

#[cfg(test)]
pub(crate) use features::Features;
pub(crate) use features::{UnknownFeature, SCHED_EXT};
pub(crate) use initramfs::initramfs;
pub(crate) use kernel::{check_moves, prepare, KernelError, KernelInfo};
pub(crate) use options::{check_options, OptionsError};
