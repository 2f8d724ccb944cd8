//! SRAT, SLIT and HMAT: which node CPUs and memory belong to, and how far nodes are from each other.

use super::{fields, table, NodeMemory, X2APIC_FROM};
use acpi_tables::sdt::Sdt;
use ktstr_model::Topology;

const SRAT_REVISION: u8 = 3;
const SLIT_REVISION: u8 = 1;
/// Latencies are in picoseconds from this revision on.
const HMAT_REVISION: u8 = 2;
const ENABLED: u32 = 1;
const LOCAL_DISTANCE: u8 = 10;
/// Between nodes of a machine that does not say: what Linux takes without a SLIT.
const REMOTE_DISTANCE: u8 = 20;
/// Latency of the HMAT for each unit of distance: 100 ns to the own memory, as a server of today.
const PICOSECONDS_PER_DISTANCE: u64 = 10_000;
/// Bandwidth of the HMAT: 100 GB/s to the own memory, and less the further away.
const BANDWIDTH_UNIT_MB: u64 = 1000;
const BANDWIDTH_BY_DISTANCE: u16 = 1000;
const ACCESS_LATENCY: u8 = 0;
const ACCESS_BANDWIDTH: u8 = 3;

/// 5.2.16.
pub(super) fn srat(topology: &Topology, ram: &[NodeMemory]) -> Sdt {
    // Reserved: 1 and 8 bytes.
    let mut body = fields(&[&1u32.to_le_bytes(), &[0; 8]]);
    for node in 0..topology.numa_nodes() {
        for cpu in topology.node_cpus(node).iter() {
            body.extend(processor_affinity(topology.apic_id(cpu), node));
        }
    }
    ram.iter().for_each(|range| body.extend(memory_affinity(range)));
    table(*b"SRAT", SRAT_REVISION, &body)
}

/// Processor Local APIC Affinity (5.2.16.1) or Processor Local x2APIC Affinity (5.2.16.3).
fn processor_affinity(id: u32, node: u32) -> Vec<u8> {
    if id < X2APIC_FROM {
        let [low, high @ ..] = node.to_le_bytes();
        fields(&[&[0, 16, low, id as u8], &ENABLED.to_le_bytes(), &[0], &high, &[0; 4]])
    } else {
        let (node, id) = (node.to_le_bytes(), id.to_le_bytes());
        fields(&[&[2, 24, 0, 0], &node, &id, &ENABLED.to_le_bytes(), &[0; 8]])
    }
}

/// Memory Affinity (5.2.16.2).
fn memory_affinity(range: &NodeMemory) -> Vec<u8> {
    let (start, bytes) = (range.start.0.to_le_bytes(), range.bytes.to_le_bytes());
    fields(&[&[1, 40], &range.node.to_le_bytes(), &[0; 2], &start, &bytes, &[0; 4], &ENABLED.to_le_bytes(), &[0; 8]])
}

/// 5.2.17.
pub(super) fn slit(topology: &Topology) -> Sdt {
    let nodes = u64::from(topology.numa_nodes());
    table(*b"SLIT", SLIT_REVISION, &fields(&[&nodes.to_le_bytes(), &distances(topology)]))
}

/// Row by row.
fn distances(topology: &Topology) -> Vec<u8> {
    if let Some(matrix) = topology.distances() {
        return matrix.concat();
    }
    let nodes = topology.numa_nodes();
    let distance = |from, to| if from == to { LOCAL_DISTANCE } else { REMOTE_DISTANCE };
    (0..nodes).flat_map(|from| (0..nodes).map(move |to| distance(from, to))).collect()
}

/// 5.2.27.
pub(super) fn hmat(topology: &Topology) -> Sdt {
    let nodes = topology.numa_nodes();
    let distances = distances(topology).into_iter().map(u16::from);
    let latency: Vec<u16> = distances.clone().collect();
    let bandwidth: Vec<u16> = distances.map(|distance| BANDWIDTH_BY_DISTANCE / distance).collect();
    let mut body = vec![0; 4];
    (0..nodes).for_each(|node| body.extend(memory_proximity(node)));
    body.extend(system_locality(nodes, ACCESS_LATENCY, PICOSECONDS_PER_DISTANCE, &latency));
    body.extend(system_locality(nodes, ACCESS_BANDWIDTH, BANDWIDTH_UNIT_MB, &bandwidth));
    table(*b"HMAT", HMAT_REVISION, &body)
}

/// Memory Proximity Domain Attributes (5.2.27.3): a node's memory is attached to its own CPUs.
fn memory_proximity(node: u32) -> Vec<u8> {
    let (length, initiator_is_valid) = (40u32.to_le_bytes(), 1u16.to_le_bytes());
    let node = node.to_le_bytes();
    fields(&[&[0; 4], &length, &initiator_is_valid, &[0; 2], &node, &node, &[0; 20]])
}

/// System Locality Latency and Bandwidth Information (5.2.27.4) of memory.
fn system_locality(nodes: u32, data_type: u8, unit: u64, entries: &[u16]) -> Vec<u8> {
    let domains: Vec<u8> = (0..nodes).flat_map(u32::to_le_bytes).collect();
    let entries: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let (length, count) = (32 + 2 * domains.len() + entries.len(), nodes.to_le_bytes());
    let head = fields(&[&[1, 0, 0, 0], &(length as u32).to_le_bytes(), &[0, data_type, 0, 0], &count, &count, &[0; 4]]);
    fields(&[&head, &unit.to_le_bytes(), &domains, &domains, &entries])
}
