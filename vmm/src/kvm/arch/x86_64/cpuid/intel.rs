//! The leaves by which Intel's CPUs tell topology and caches (Intel SDM vol. 2A, CPUID).

use super::{Ecx, Leaves, Shown, L2_AND_L3, VENDOR};

const DESCRIPTORS: u32 = 2;
const CACHES: u32 = 4;
const TOPOLOGY: u32 = 0x1f;
const SMT: u32 = 1;
const CORE: u32 = 2;
const DIE: u32 = 5;
/// Cores of a package have 6 bits in leaf 4.
const CORES_MAX: u32 = 1 << 6;
/// "See leaf 4", and prefetches of 64 bytes.
const NO_DESCRIPTORS: [u32; 4] = [0xff01, 0xf0, 0, 0];
/// 1 MiB in KiB, 16 ways, lines of 64 bytes: as the third of `super::CACHES`.
const L2: u32 = 1024 << 16 | 8 << 12 | 64;

pub(super) fn show(shown: &Shown<'_>, leaves: &mut Leaves) {
    leaves.reach(VENDOR, TOPOLOGY);
    leaves.remove(DESCRIPTORS);
    leaves.put(DESCRIPTORS, None, NO_DESCRIPTORS);
    let [core_bits, llc_bits, node_bits] = shown.topology.apic_bits();
    let cores = CORES_MAX.min(1 << (node_bits - core_bits));
    shown.caches(leaves, CACHES, (cores - 1) << 26);
    leaves.change(L2_AND_L3, Ecx, |_| L2);
    shown.threads_and_cores(leaves);

    let (threads, llc_cpus) = (shown.topology.threads_per_core(), shown.topology.cpus_per_llc());
    let levels = [(SMT, core_bits, threads), (CORE, llc_bits, llc_cpus), (DIE, node_bits, shown.node_cpus)];
    let has_dies = shown.topology.llcs_per_node() > 1;
    shown.levels(leaves, TOPOLOGY, if has_dies { &levels } else { &levels[..2] });
}
