//! The leaves by which AMD's CPUs tell topology and caches (AMD64 Architecture Programmer's Manual vol. 3, appendix E).
//!
//! Linux takes the levels from leaf 0x80000026 (arch/x86/kernel/cpu/topology_ext.c), where an LLC is a complex and a die at once, and the LLC
//! from leaf 0x8000001d (arch/x86/kernel/cpu/cacheinfo.c).

use super::{Eax, Ecx, Edx, Leaves, Shown, EXTENDED_FEATURES, L2_AND_L3, TOPOLOGY, VENDOR, VERSION};

const EXTENDED: u32 = 0x8000_0000;
const L1: u32 = 0x8000_0005;
const SIZES: u32 = 0x8000_0008;
const CACHES: u32 = 0x8000_001d;
const PLACE: u32 = 0x8000_001e;
const LEVELS: u32 = 0x8000_0026;
const CORE: u32 = 1;
const COMPLEX: u32 = 2;
const DIE: u32 = 3;
const SOCKET: u32 = 4;
const CMP_LEGACY: u32 = 1;
const TOPOLOGY_EXTENSIONS: u32 = 22;
/// 32 KiB, 8 ways, one line to a tag, lines of 64 bytes: as the first of `super::CACHES`.
const L1_32K: u32 = 32 << 24 | 8 << 16 | 1 << 8 | 64;
/// 1 MiB in KiB, 16 ways.
const L2_1M: u32 = 1024 << 16 | 8 << 12 | 1 << 8 | 64;
/// 16 MiB in 512 KiB, 16 ways.
const L3_16M: u32 = 32 << 18 | 8 << 12 | 1 << 8 | 64;
/// Family 0x17 up to this model: Linux takes bit 3 of the APIC id for the LLC, whatever else is told.
const FAMILY_ZEN: u32 = 0x17;
const MODEL_FIXED_LLC: u32 = 0x1f;
/// The next model, where it looks.
const MODEL_ROME: u32 = 0x31;

pub(super) fn show(shown: &Shown<'_>, leaves: &mut Leaves) {
    leaves.reach(VENDOR, TOPOLOGY);
    leaves.reach(EXTENDED, LEVELS);
    leaves.change(VERSION, Eax, model_that_tells_llcs);
    let several = u32::from(shown.node_cpus > 1) << CMP_LEGACY;
    leaves.change(EXTENDED_FEATURES, Ecx, |value| (value & !(1 << CMP_LEGACY)) | several | 1 << TOPOLOGY_EXTENSIONS);
    leaves.change(L1, Ecx, |_| L1_32K);
    leaves.change(L1, Edx, |_| L1_32K);
    leaves.change(L2_AND_L3, Ecx, |_| L2_1M);
    leaves.change(L2_AND_L3, Edx, |_| L3_16M);
    shown.caches(leaves, CACHES, 0);
    shown.threads_and_cores(leaves);
    place(shown, leaves);

    let [core_bits, llc_bits, node_bits] = shown.topology.apic_bits();
    let (threads, llc_cpus) = (shown.topology.threads_per_core(), shown.topology.cpus_per_llc());
    let levels = [
        (CORE, core_bits, threads),
        (COMPLEX, llc_bits, llc_cpus),
        (DIE, llc_bits, llc_cpus),
        (SOCKET, node_bits, shown.node_cpus),
    ];
    shown.levels(leaves, LEVELS, &levels);
}

/// Leaves with 8 bits for a number of CPUs or cores: of larger packages they tell the most they can.
fn place(shown: &Shown<'_>, leaves: &mut Leaves) {
    let [core_bits, _, node_bits] = shown.topology.apic_bits();
    leaves.change(SIZES, Ecx, |value| (value & !0xf0ff) | node_bits << 12 | (shown.node_cpus - 1).min(255));
    let core = (shown.id & ((1 << node_bits) - 1)) >> core_bits;
    let (threads, node) = (shown.topology.threads_per_core() - 1, shown.id >> node_bits);
    leaves.remove(PLACE);
    // One node to a package.
    leaves.put(PLACE, None, [shown.id, threads << 8 | core & 0xff, node & 0xff, 0]);
}

fn model_that_tells_llcs(version: u32) -> u32 {
    let family = (version >> 8 & 0xf) + (version >> 20 & 0xff);
    let model = (version >> 4 & 0xf) | (version >> 12 & 0xf0);
    if family != FAMILY_ZEN || model > MODEL_FIXED_LLC {
        return version;
    }
    (version & !0x000f_00f0) | (MODEL_ROME & 0xf) << 4 | (MODEL_ROME & 0xf0) << 12
}
