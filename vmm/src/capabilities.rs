//! What a back end can do, as data: what differs between back ends is declared here and refused before a machine is made.

use ktstr_model::{Backend, Clock, FieldError, Mebibytes, Topology};

/// A back end's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Which back end.
    pub backend: Backend,
    /// The clocks it offers, each with the most CPUs it can have.
    pub clocks: &'static [(Clock, u32)],
    /// Most NUMA nodes.
    pub numa_nodes_max: u32,
    /// Most memory.
    pub memory_max: Mebibytes,
    /// Largest code of the debug exit that arrives as it was written.
    pub exit_code_max: u8,
    /// Whether equal specs under the virtual clock give runs that are equal bit for bit up to the guest's exit. How far a guest runs on after
    /// its write to the debug exit is the host's doing.
    pub repeatable: bool,
    /// Whether machines can be saved and start from a save.
    pub saves: bool,
    /// The clocks under which CPUs can have virtualization ([`crate::MachineSpec::virtualization`]).
    pub virtualization: &'static [Clock],
    /// The clocks under which a machine can stand still at instants of guest time ([`crate::MachineSpec::instants`]).
    pub instants: &'static [Clock],
}

impl Capabilities {
    /// Most CPUs under `clock`; 0 if the clock is not offered.
    pub fn cpus_max(&self, clock: Clock) -> u32 {
        self.clocks.iter().find(|(offered, _)| *offered == clock).map_or(0, |(_, cpus)| *cpus)
    }

    /// Refuses a topology that is beyond the limits; `path` is where it stands in the declaration.
    ///
    /// # Errors
    /// The field that is beyond, and what would do.
    pub fn check(&self, topology: &Topology, clock: Clock, path: &str) -> Result<(), FieldError> {
        let (backend, most) = (self.backend.name(), self.cpus_max(clock));
        if most == 0 {
            let problem = format!("the back end {backend} has no {} clock", clock.name());
            let others: Vec<String> =
                self.clocks.iter().map(|(clock, _)| format!("clock = \"{}\"", clock.name())).collect();
            return Err(FieldError::new("clock", problem).hint(format!("{} would do", others.join(" or "))));
        }
        if topology.cpus() > most {
            let problem =
                format!("{topology} has {} CPUs: at most {most} under the {} clock", topology.cpus(), clock.name());
            let other = self.clocks.iter().find(|(_, cpus)| *cpus >= topology.cpus());
            let hint = match other {
                Some((other, cpus)) => format!("clock = \"{}\" takes {cpus}", other.name()),
                None => format!("the back end {backend} has no clock that takes more"),
            };
            return Err(FieldError::new(path, problem).hint(hint));
        }
        if topology.numa_nodes() > self.numa_nodes_max {
            let problem = format!("{} NUMA nodes on the back end {backend}", topology.numa_nodes());
            return Err(
                FieldError::new(format!("{path}.numa_nodes"), problem).hint(format!("at most {}", self.numa_nodes_max))
            );
        }
        if topology.memory() > self.memory_max {
            let problem = format!("{} on the back end {backend}", topology.memory());
            return Err(FieldError::new(format!("{path}.memory"), problem).hint(format!("at most {}", self.memory_max)));
        }
        self.check_node_memory(topology, path)
    }

    /// Refuses CPUs with virtualization where there are none.
    ///
    /// # Errors
    /// What would do.
    pub fn check_virtualization(&self, clock: Clock) -> Result<(), FieldError> {
        self.check_offered("virtualization", "CPUs with virtualization", self.virtualization, clock)
    }

    /// Refuses instants of guest time where there are none.
    ///
    /// # Errors
    /// What would do.
    pub fn check_instants(&self, clock: Clock) -> Result<(), FieldError> {
        self.check_offered("instants", "instants of guest time", self.instants, clock)
    }

    fn check_offered(&self, field: &str, what: &str, offered: &[Clock], clock: Clock) -> Result<(), FieldError> {
        if offered.contains(&clock) {
            return Ok(());
        }
        let problem = format!("{what} on the back end {} under the {} clock", self.backend.name(), clock.name());
        let hint = match offered {
            [] => "this back end has none".to_owned(),
            clocks => clocks
                .iter()
                .map(|clock| format!("clock = \"{}\" would do", clock.name()))
                .collect::<Vec<_>>()
                .join(", "),
        };
        Err(FieldError::new(field, problem).hint(hint))
    }

    fn check_node_memory(&self, topology: &Topology, path: &str) -> Result<(), FieldError> {
        let nodes = u64::from(topology.numa_nodes());
        let least = NODE_MEMORY_MIN.0 * nodes;
        if topology.memory().0 >= least {
            return Ok(());
        }
        let problem = format!("{} is too small for {nodes} NUMA nodes", topology.memory());
        Err(FieldError::new(format!("{path}.memory"), problem).hint(format!("at least {}", Mebibytes(least))))
    }
}

/// Memory below which a node is not worth its page structures: the kernel leaves out nodes with less than 4 MiB
/// (arch/x86/mm/numa.c, `NODE_MIN_SIZE`), and a node needs room for per-CPU data.
const NODE_MEMORY_MIN: Mebibytes = Mebibytes(32);

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::topology::TopologySpec;

    const SMALL: Capabilities = Capabilities {
        backend: Backend::Tcg,
        clocks: &[(Clock::Real, 64), (Clock::Virtual, 4)],
        numa_nodes_max: 4,
        memory_max: Mebibytes(2048),
        exit_code_max: 127,
        repeatable: true,
        saves: false,
        virtualization: &[],
        instants: &[],
    };

    fn refusal(nodes: u32, llcs: u32, memory: Option<u64>, clock: Clock) -> String {
        let memory = memory.map(Mebibytes);
        let spec =
            TopologySpec { numa_nodes: nodes, llcs, cores_per_llc: 1, threads_per_core: 1, memory, distances: None };
        let topology = spec.resolve("topologies[0]").expect("can be");
        SMALL.check(&topology, clock, "topologies[0]").expect_err("refused").to_string()
    }

    #[test]
    fn refuses_too_many_cpus_and_names_the_clock_that_takes_them() {
        assert_eq!(
            refusal(1, 8, None, Clock::Virtual),
            "topologies[0]: 1n8l1c1t has 8 CPUs: at most 4 under the virtual clock; clock = \"real\" takes 64"
        );
        assert_eq!(
            refusal(1, 65, None, Clock::Real),
            "topologies[0]: 1n65l1c1t has 65 CPUs: at most 64 under the real clock; the back end tcg has no clock that takes more"
        );
    }

    #[test]
    fn refuses_nodes_and_memory_beyond_the_limits() {
        assert_eq!(
            refusal(8, 8, None, Clock::Real),
            "topologies[0].numa_nodes: 8 NUMA nodes on the back end tcg; at most 4"
        );
        assert_eq!(refusal(1, 1, Some(4096), Clock::Real), "topologies[0].memory: 4G on the back end tcg; at most 2G");
    }

    #[test]
    fn refuses_nodes_without_room() {
        let wide = Capabilities { numa_nodes_max: 64, ..SMALL };
        let spec = TopologySpec {
            numa_nodes: 16,
            llcs: 16,
            cores_per_llc: 1,
            threads_per_core: 1,
            memory: Some(Mebibytes(256)),
            distances: None,
        };
        let topology = spec.resolve("t").expect("can be");
        let error = wide.check(&topology, Clock::Real, "t").expect_err("refused").to_string();
        assert_eq!(error, "t.memory: 256M is too small for 16 NUMA nodes; at least 512M");
    }

    #[test]
    fn refuses_a_clock_that_is_not_offered() {
        let real_only = Capabilities { backend: Backend::Kvm, clocks: &[(Clock::Real, 64)], ..SMALL };
        let topology = Topology::new(1, 1, 1, 1).expect("can be");
        let error = real_only.check(&topology, Clock::Virtual, "t").expect_err("refused").to_string();
        assert_eq!(error, "clock: the back end kvm has no virtual clock; clock = \"real\" would do");
    }

    #[test]
    fn refuses_virtualization_where_there_is_none() {
        let refusal = |virtualization| {
            let error =
                Capabilities { virtualization, ..SMALL }.check_virtualization(Clock::Virtual).expect_err("refused");
            error.to_string()
        };
        let problem = "virtualization: CPUs with virtualization on the back end tcg under the virtual clock";
        assert_eq!(refusal(&[Clock::Real]), format!("{problem}; clock = \"real\" would do"));
        assert_eq!(refusal(&[]), format!("{problem}; this back end has none"));
        let error = SMALL.check_instants(Clock::Virtual).expect_err("refused").to_string();
        assert_eq!(
            error,
            "instants: instants of guest time on the back end tcg under the virtual clock; this back end has none"
        );
    }
}
