//! The CPU topology of a machine.
//!
//! CPU numbers are the kernel's: the machine lists its CPUs node by node, LLC by LLC, core by core, thread by thread, and
//! Linux numbers them in that order (arch/x86/kernel/acpi/boot.c, MADT order).

use crate::{cpuset::CPUS_MAX, CpuSet, FieldError, Mebibytes};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a user wrote: any numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologySpec {
    /// NUMA nodes, each a package of its own.
    pub numa_nodes: u32,
    /// Last-level caches of the whole machine.
    pub llcs: u32,
    /// Cores that share one LLC.
    pub cores_per_llc: u32,
    /// Hardware threads (SMT siblings) of a core.
    pub threads_per_core: u32,
    /// Memory of the whole machine; by default it follows the number of CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Mebibytes>,
    /// Distances between nodes as in the ACPI SLIT: square, 10 on the diagonal, 11 to 254 elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distances: Option<Vec<Vec<u8>>>,
}

/// A topology that can be: all counts at least 1, LLCs divide evenly among the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "TopologySpec", into = "TopologySpec")]
pub struct Topology {
    numa_nodes: u32,
    llcs: u32,
    cores_per_llc: u32,
    threads_per_core: u32,
    memory: Mebibytes,
    distances: Option<Vec<Vec<u8>>>,
}

/// Memory below which a distribution kernel does not reach init.
const MEMORY_MIN: Mebibytes = Mebibytes(256);
/// Memory of a machine that does not say: this, and [`MEMORY_PER_CPU`] more for each CPU above 8.
const MEMORY_DEFAULT: Mebibytes = Mebibytes(1024);
const MEMORY_PER_CPU: u64 = 16;
/// ACPI SLIT: a node's distance to itself, and the value for unreachable.
const LOCAL_DISTANCE: u8 = 10;
const UNREACHABLE: u8 = 255;

impl Topology {
    /// A topology without distances and with the default memory.
    ///
    /// # Errors
    /// As [`TopologySpec::resolve`], with paths from the topology's own root.
    pub fn new(numa_nodes: u32, llcs: u32, cores_per_llc: u32, threads_per_core: u32) -> Result<Self, FieldError> {
        TopologySpec { numa_nodes, llcs, cores_per_llc, threads_per_core, memory: None, distances: None }
            .resolve("topology")
    }

    /// NUMA nodes, each a package (socket) of its own.
    pub fn numa_nodes(&self) -> u32 {
        self.numa_nodes
    }

    /// Last-level caches of the whole machine.
    pub fn llcs(&self) -> u32 {
        self.llcs
    }

    /// Last-level caches of one node.
    pub fn llcs_per_node(&self) -> u32 {
        self.llcs / self.numa_nodes
    }

    /// Cores that share one LLC.
    pub fn cores_per_llc(&self) -> u32 {
        self.cores_per_llc
    }

    /// Hardware threads of a core.
    pub fn threads_per_core(&self) -> u32 {
        self.threads_per_core
    }

    /// Memory of the whole machine.
    pub fn memory(&self) -> Mebibytes {
        self.memory
    }

    /// Memory of each node, in MiB; the remainder of the division goes to the first.
    pub fn node_memory(&self) -> Vec<Mebibytes> {
        let nodes = u64::from(self.numa_nodes);
        let (each, rest) = (self.memory.0 / nodes, self.memory.0 % nodes);
        (0..nodes).map(|node| Mebibytes(each + if node == 0 { rest } else { 0 })).collect()
    }

    /// Distances between nodes, if they were given.
    pub fn distances(&self) -> Option<&[Vec<u8>]> {
        self.distances.as_deref()
    }

    /// CPUs that share one LLC.
    pub fn cpus_per_llc(&self) -> u32 {
        self.cores_per_llc * self.threads_per_core
    }

    /// CPUs of the whole machine.
    pub fn cpus(&self) -> u32 {
        self.llcs * self.cpus_per_llc()
    }

    /// All CPUs.
    pub fn all_cpus(&self) -> CpuSet {
        CpuSet::range(0, self.cpus())
    }

    /// CPUs of LLC `index`; empty if there is no such LLC.
    pub fn llc_cpus(&self, index: u32) -> CpuSet {
        group(index, self.cpus_per_llc(), self.llcs)
    }

    /// CPUs of NUMA node `index`; empty if there is no such node.
    pub fn node_cpus(&self, index: u32) -> CpuSet {
        group(index, self.llcs_per_node() * self.cpus_per_llc(), self.numa_nodes)
    }

    /// SMT siblings of core `index`, counted over the machine; empty if there is no such core.
    pub fn core_cpus(&self, index: u32) -> CpuSet {
        group(index, self.threads_per_core, self.llcs * self.cores_per_llc)
    }

    /// Bits of an APIC id below the core, the LLC and the node: each level is padded to a power of two (Intel SDM vol. 3A, 10.9.1; QEMU
    /// include/hw/i386/topology.h).
    pub fn apic_bits(&self) -> [u32; 3] {
        let bits = |count: u32| 32 - (count - 1).leading_zeros();
        let core = bits(self.threads_per_core);
        let llc = core + bits(self.cores_per_llc);
        [core, llc, llc + bits(self.llcs_per_node())]
    }

    /// APIC id of a CPU of this machine.
    pub fn apic_id(&self, cpu: u32) -> u32 {
        let [core_bits, llc_bits, node_bits] = self.apic_bits();
        let (core, llc) = (cpu / self.threads_per_core, cpu / self.cpus_per_llc());
        (cpu % self.threads_per_core)
            | (core % self.cores_per_llc) << core_bits
            | (llc % self.llcs_per_node()) << llc_bits
            | (llc / self.llcs_per_node()) << node_bits
    }

    /// Largest APIC id: the last CPU's.
    pub fn largest_apic_id(&self) -> u32 {
        self.apic_id(self.cpus() - 1)
    }
}

fn group(index: u32, size: u32, count: u32) -> CpuSet {
    if index >= count {
        return CpuSet::default();
    }
    CpuSet::range(index * size, (index + 1) * size)
}

/// The label, such as `1n2l4c2t`.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { numa_nodes, llcs, cores_per_llc, threads_per_core, .. } = self;
        f.pad(&format!("{numa_nodes}n{llcs}l{cores_per_llc}c{threads_per_core}t"))
    }
}

/// From the label, such as `1n2l4c2t`: a machine with the default memory and without distances.
impl FromStr for TopologySpec {
    type Err = FieldError;

    fn from_str(label: &str) -> Result<Self, FieldError> {
        let mut rest = label;
        let mut number = |unit: char| {
            let (digits, after) = rest.split_once(unit)?;
            rest = after;
            digits.chars().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let numbers = number('n').zip(number('l')).zip(number('c').zip(number('t')));
        match numbers {
            Some(((numa_nodes, llcs), (cores_per_llc, threads_per_core))) if rest.is_empty() => {
                Ok(Self { numa_nodes, llcs, cores_per_llc, threads_per_core, memory: None, distances: None })
            }
            _ => {
                let hint =
                    "NUMA nodes, LLCs of the whole machine, cores of an LLC, threads of a core, such as 1n2l4c2t";
                Err(FieldError::new("topology", format!("{label:?} is not a machine")).hint(hint))
            }
        }
    }
}

impl TopologySpec {
    /// Checks that such a machine can be. `path` is where the topology stands in the declaration.
    ///
    /// # Errors
    /// The first field that makes it impossible, with what would do.
    pub fn resolve(self, path: &str) -> Result<Topology, FieldError> {
        let Self { numa_nodes, llcs, cores_per_llc, threads_per_core, memory, distances } = self;
        let at = |field: &str| format!("{path}.{field}");
        let counts = [
            ("numa_nodes", numa_nodes),
            ("llcs", llcs),
            ("cores_per_llc", cores_per_llc),
            ("threads_per_core", threads_per_core),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(FieldError::new(at(field), "0 is not a machine").hint("at least 1"));
        }
        if !llcs.is_multiple_of(numa_nodes) {
            let below = llcs - llcs % numa_nodes;
            let hint = match below {
                0 => format!("{numa_nodes} would do"),
                _ => format!("{below} or {} would do", below + numa_nodes),
            };
            let problem = format!("{llcs} LLCs do not divide among {numa_nodes} NUMA nodes");
            return Err(FieldError::new(at("llcs"), problem).hint(hint));
        }
        if threads_per_core > 2 {
            let problem = format!("{threads_per_core} threads a core: x86 has 1 or 2");
            return Err(FieldError::new(at("threads_per_core"), problem));
        }
        let cpus = u64::from(llcs).saturating_mul(u64::from(cores_per_llc)).saturating_mul(u64::from(threads_per_core));
        if cpus > u64::from(CPUS_MAX) {
            return Err(FieldError::new(path, format!("{cpus} CPUs: at most {CPUS_MAX}")));
        }
        let default = Mebibytes(MEMORY_DEFAULT.0 + cpus.saturating_sub(8) * MEMORY_PER_CPU);
        let memory = memory.unwrap_or(default);
        if memory < MEMORY_MIN {
            let problem = format!("{memory} is too small for a kernel to boot");
            return Err(FieldError::new(at("memory"), problem).hint(format!("at least {MEMORY_MIN}")));
        }
        if let Some(matrix) = &distances {
            check_distances(matrix, numa_nodes, &at("distances"))?;
        }
        Ok(Topology { numa_nodes, llcs, cores_per_llc, threads_per_core, memory, distances })
    }
}

fn check_distances(matrix: &[Vec<u8>], nodes: u32, path: &str) -> Result<(), FieldError> {
    if matrix.len() != nodes as usize || matrix.iter().any(|row| row.len() != nodes as usize) {
        return Err(FieldError::new(path, format!("not a square of {nodes} by {nodes}")));
    }
    for (from, row) in matrix.iter().enumerate() {
        for (to, distance) in row.iter().copied().enumerate() {
            let fits = if from == to { distance == LOCAL_DISTANCE } else { (11..UNREACHABLE).contains(&distance) };
            if !fits {
                let hint = if from == to { "a node is 10 from itself" } else { "11 to 254 between nodes" };
                return Err(
                    FieldError::new(format!("{path}[{from}][{to}]"), format!("{distance} cannot be")).hint(hint)
                );
            }
        }
    }
    Ok(())
}

impl TryFrom<TopologySpec> for Topology {
    type Error = FieldError;

    fn try_from(spec: TopologySpec) -> Result<Self, FieldError> {
        spec.resolve("topology")
    }
}

impl From<Topology> for TopologySpec {
    fn from(topology: Topology) -> Self {
        let Topology { numa_nodes, llcs, cores_per_llc, threads_per_core, memory, distances } = topology;
        Self { numa_nodes, llcs, cores_per_llc, threads_per_core, memory: Some(memory), distances }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(numa_nodes: u32, llcs: u32, cores: u32, threads: u32) -> String {
        Topology::new(numa_nodes, llcs, cores, threads).expect_err("refused").to_string()
    }

    #[test]
    fn refuses_machines_that_cannot_be() {
        assert_eq!(refusal(2, 3, 4, 1), "topology.llcs: 3 LLCs do not divide among 2 NUMA nodes; 2 or 4 would do");
        assert_eq!(refusal(4, 2, 4, 1), "topology.llcs: 2 LLCs do not divide among 4 NUMA nodes; 4 would do");
        assert_eq!(refusal(1, 0, 4, 1), "topology.llcs: 0 is not a machine; at least 1");
        assert_eq!(refusal(1, 1, 1, 4), "topology.threads_per_core: 4 threads a core: x86 has 1 or 2");
        assert_eq!(refusal(1, 64, 64, 2), "topology: 8192 CPUs: at most 1024");
    }

    #[test]
    fn refuses_memory_and_distances_that_cannot_be() {
        let spec = |memory, distances| TopologySpec {
            numa_nodes: 2,
            llcs: 2,
            cores_per_llc: 1,
            threads_per_core: 1,
            memory,
            distances,
        };
        let refusal = |spec: TopologySpec| spec.resolve("topologies[0]").expect_err("refused").to_string();
        assert_eq!(
            refusal(spec(Some(Mebibytes(64)), None)),
            "topologies[0].memory: 64M is too small for a kernel to boot; at least 256M"
        );
        assert_eq!(refusal(spec(None, Some(vec![vec![10, 20]]))), "topologies[0].distances: not a square of 2 by 2");
        assert_eq!(
            refusal(spec(None, Some(vec![vec![10, 5], vec![20, 10]]))),
            "topologies[0].distances[0][1]: 5 cannot be; 11 to 254 between nodes"
        );
    }

    #[test]
    fn numbers_cpus_node_by_node() {
        let topology = Topology::new(2, 4, 2, 2).expect("can be");
        assert_eq!(topology.to_string(), "2n4l2c2t");
        assert_eq!(topology.llc_cpus(1).to_string(), "4-7");
        assert_eq!(topology.node_cpus(1).to_string(), "8-15");
        assert_eq!(topology.core_cpus(3).to_string(), "6-7");
        assert!(topology.llc_cpus(4).is_empty());
    }

    #[test]
    fn a_label_that_is_none_is_refused() {
        for label in ["", "1n2l4c", "1n2l4c2t8g", "1n+2l4c2t", "2l1n4c2t", "an2l4c2t", "99999999999n1l1c1t"] {
            let error = label.parse::<TopologySpec>().expect_err("refused").to_string();
            assert!(error.starts_with(&format!("topology: {label:?} is not a machine; NUMA nodes")), "{error}");
        }
    }

    #[test]
    fn pads_apic_ids() {
        assert_eq!(Topology::new(1, 14, 9, 2).expect("can be").largest_apic_id(), 0x1b1);
        assert_eq!(Topology::new(1, 1, 1, 1).expect("can be").largest_apic_id(), 0);
    }

    proptest! {
        #[test]
        fn prints_back(nodes in 1u32..5, per_node in 1u32..4, cores in 1u32..9, threads in 1u32..3) {
            let topology = Topology::new(nodes, nodes * per_node, cores, threads).expect("can be");
            let json = serde_json::to_string(&topology).expect("serialises");
            prop_assert_eq!(&serde_json::from_str::<Topology>(&json).expect("parses"), &topology);
            let label: TopologySpec = topology.to_string().parse().expect("parses");
            prop_assert_eq!(label.resolve("topology").expect("can be"), topology);
        }

        #[test]
        fn llcs_cover_all_cpus_once(nodes in 1u32..5, per_node in 1u32..4, cores in 1u32..9, threads in 1u32..3) {
            let topology = Topology::new(nodes, nodes * per_node, cores, threads).expect("can be");
            let sizes: usize = (0..topology.llcs()).map(|llc| topology.llc_cpus(llc).len()).sum();
            let union = (0..topology.llcs()).fold(CpuSet::default(), |all, llc| all.union(&topology.llc_cpus(llc)));
            prop_assert_eq!(sizes, union.len());
            prop_assert_eq!(union, topology.all_cpus());
        }

        #[test]
        fn apic_ids_grow_and_say_what_is_shared(nodes in 1u32..5, per_node in 1u32..4, cores in 1u32..9, threads in 1u32..3) {
            let topology = Topology::new(nodes, nodes * per_node, cores, threads).expect("can be");
            let sizes = [threads, cores * threads, per_node * cores * threads];
            for cpu in 1..topology.cpus() {
                let (before, id) = (topology.apic_id(cpu - 1), topology.apic_id(cpu));
                prop_assert!(before < id);
                for (bits, size) in topology.apic_bits().into_iter().zip(sizes) {
                    prop_assert_eq!(before >> bits == id >> bits, (cpu - 1) / size == cpu / size);
                }
            }
        }
    }
}
