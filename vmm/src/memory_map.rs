//! Where machines have their memory: as QEMU's `q35` (hw/i386/pc_q35.c and hw/i386/pc.c of QEMU 10.0), and ours the same.
//!
//! ```text
//! 0            ┌──────────────────────┐
//!              │ RAM, low part        │ all of it if it is less than 2.75 GiB, else 2 GiB
//! low          ├──────────────────────┤
//!              │ PCI, firmware, APIC  │
//! 4 GiB        ├──────────────────────┤
//!              │ RAM, the rest        │
//!              ├──────────────────────┤ rounded up to 1 GiB
//!              │ device memory        │ the window, an nvdimm, at its beginning
//!              └──────────────────────┘
//! ```

use crate::Gpa;
use ktstr_model::{Mebibytes, Topology};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// RAM from which on q35 leaves all of the third GiB to PCI.
const SPLIT_FROM: u64 = 0xb000_0000;
const LOW_WHEN_SPLIT: u64 = 2 * GIB;
pub(crate) const HIGH_START: u64 = 4 * GIB;
/// VGA memory and firmware shadow: the bytes of RAM behind them are not what the guest reads there.
pub(crate) const LEGACY_HOLE: std::ops::Range<u64> = 0xa_0000..0x10_0000;

/// Memory that the machine keeps for the window: its largest size. A slot costs the same again for alignment.
pub(crate) const WINDOW_BYTES_MAX: u64 = GIB;

/// A stretch of guest RAM within one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RamRange {
    pub(crate) start: Gpa,
    pub(crate) bytes: u64,
    /// The node, which is also the number of its RAM file.
    pub(crate) node: usize,
    /// Where the stretch begins in that file.
    pub(crate) offset: u64,
}

/// Memory of each node in bytes.
pub(crate) fn node_bytes(topology: &Topology) -> Vec<u64> {
    topology.node_memory().into_iter().map(|Mebibytes(size)| size * MIB).collect()
}

/// Where the window is.
pub(crate) fn window_at(topology: &Topology) -> Gpa {
    let ram = topology.memory().0 * MIB;
    let high = ram - low_bytes(ram);
    Gpa((HIGH_START + high).next_multiple_of(GIB))
}

/// All RAM that can be read, in the order of addresses.
pub(crate) fn ram_ranges(topology: &Topology) -> Vec<RamRange> {
    let mut ranges = cut(topology, &[LEGACY_HOLE.start, LEGACY_HOLE.end]);
    ranges.retain(|range| !LEGACY_HOLE.contains(&range.start.0));
    ranges
}

/// The files of the RAM, in the order of addresses: the bytes behind the legacy hole, too.
pub(crate) fn file_ranges(topology: &Topology) -> Vec<RamRange> {
    cut(topology, &[])
}

/// RAM, cut where a node ends, where low RAM ends and at `more` addresses of low RAM.
fn cut(topology: &Topology, more: &[u64]) -> Vec<RamRange> {
    let nodes = node_bytes(topology);
    let low = low_bytes(nodes.iter().sum());
    let mut ranges = Vec::new();
    let mut linear = 0;
    for (node, bytes) in nodes.into_iter().enumerate() {
        let end = linear + bytes;
        let mut cuts = [more, &[linear, low, end]].concat();
        cuts.retain(|cut| (linear..=end).contains(cut));
        cuts.sort_unstable();
        for (from, to) in cuts.iter().zip(cuts.iter().skip(1)) {
            if from < to {
                let start = Gpa(if *from < low { *from } else { HIGH_START + (from - low) });
                ranges.push(RamRange { start, bytes: to - from, node, offset: from - linear });
            }
        }
        linear = end;
    }
    ranges
}

/// How much of `ram` bytes lies below 4 GiB.
pub(crate) fn low_bytes(ram: u64) -> u64 {
    if ram >= SPLIT_FROM {
        LOW_WHEN_SPLIT
    } else {
        ram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::topology::TopologySpec;

    fn topology(nodes: u32, memory: u64) -> Topology {
        let memory = Some(Mebibytes(memory));
        let spec = TopologySpec {
            numa_nodes: nodes,
            llcs: nodes,
            cores_per_llc: 1,
            threads_per_core: 1,
            memory,
            distances: None,
        };
        spec.resolve("topology").expect("can be")
    }

    #[test]
    fn the_window_follows_all_ram() {
        let at = |memory| window_at(&topology(1, memory));
        assert_eq!(at(1024), Gpa(0x1_0000_0000));
        assert_eq!(at(2815), Gpa(0x1_0000_0000));
        assert_eq!(at(2816), Gpa(0x1_4000_0000));
        assert_eq!(at(4096), Gpa(0x1_8000_0000));
        assert_eq!(at(4097), Gpa(0x1_c000_0000));
    }

    fn ranges(nodes: u32, memory: u64) -> Vec<(u64, u64, usize, u64)> {
        let describe = |range: RamRange| (range.start.0, range.bytes, range.node, range.offset);
        ram_ranges(&topology(nodes, memory)).into_iter().map(describe).collect()
    }

    #[test]
    fn small_ram_is_all_low() {
        assert_eq!(ranges(1, 256), [(0, 0xa_0000, 0, 0), (0x10_0000, 0xff0_0000, 0, 0x10_0000)]);
    }

    #[test]
    fn a_node_is_cut_where_low_ram_ends() {
        let expected = [
            (0, 0xa_0000, 0, 0),
            (0x10_0000, 0x5ff0_0000, 0, 0x10_0000),
            (0x6000_0000, 0x2000_0000, 1, 0),
            (0x1_0000_0000, 0x4000_0000, 1, 0x2000_0000),
        ];
        assert_eq!(ranges(2, 3072), expected);
    }
}
