//! Machines, and where the CPUs of one are: counted from the declaration, not with the code under test.

use ktstr_model::{topology::TopologySpec, Topology};

/// Small; more than 255 APIC ids in one node; more than 255 CPUs, with distances that depend on the direction; the smallest.
pub(crate) fn machines() -> [Topology; 4] {
    let distances = vec![vec![10, 11, 21, 31], vec![12, 10, 22, 32], vec![21, 22, 10, 33], vec![254, 32, 33, 10]];
    let spec: TopologySpec = "4n16l16c2t".parse().expect("a label");
    let far = TopologySpec { distances: Some(distances), ..spec }.resolve("topology").expect("can be");
    [machine(2, 4, 2, 2), machine(1, 14, 9, 2), far, machine(1, 1, 1, 1)]
}

pub(crate) fn machine(nodes: u32, llcs: u32, cores: u32, threads: u32) -> Topology {
    Topology::new(nodes, llcs, cores, threads).expect("can be")
}

/// Where a CPU is: each number counts from 0 within the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: u32,
    pub(crate) llc: u32,
    pub(crate) core: u32,
    pub(crate) thread: u32,
}

/// All CPUs in the kernel's order, each with its APIC id.
pub(crate) fn places(topology: &Topology) -> Vec<(Place, u32)> {
    let mut places = Vec::new();
    let (llcs, cores, threads) = (topology.llcs_per_node(), topology.cores_per_llc(), topology.threads_per_core());
    for node in 0..topology.numa_nodes() {
        for llc in 0..llcs {
            for core in 0..cores {
                for thread in 0..threads {
                    let id = (node * padded(llcs) + llc) * padded(cores) + core;
                    places.push((Place { node, llc, core, thread }, id * padded(threads) + thread));
                }
            }
        }
    }
    places
}

/// What a level takes of the APIC ids.
pub(crate) fn padded(count: u32) -> u32 {
    count.next_power_of_two()
}
