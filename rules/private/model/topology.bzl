"""Topologies: what a machine looks like."""

def without_none(**fields):
    """A dict of the fields that are set."""
    return {name: value for name, value in fields.items() if value != None}

def topology(numa_nodes, llcs, cores_per_llc, threads_per_core, memory = None, distances = None):
    """One machine. It has `llcs * cores_per_llc * threads_per_core` CPUs.

    Args:
      numa_nodes: NUMA nodes, each a package of its own; at least 1
      llcs: last-level caches of the whole machine; a multiple of `numa_nodes`
      cores_per_llc: cores that share one last-level cache; at least 1
      threads_per_core: 1, or 2 for SMT siblings
      memory: of the whole machine, `"512M"` or `"2G"`, at least `"256M"`; by default 1 GiB, and 16 MiB more for each
        CPU above 8
      distances: between nodes as in the ACPI SLIT: a square of numbers, 10 on the diagonal, 11 to 254 elsewhere; by
        default the kernel's

    Returns:
      an item of `topologies` of a `ktstr_test`
    """
    return without_none(
        numa_nodes = numa_nodes,
        llcs = llcs,
        cores_per_llc = cores_per_llc,
        threads_per_core = threads_per_core,
        memory = memory,
        distances = distances,
    )

# Topologies that found bugs before. Above 32 CPUs they take the real clock.
presets = struct(
    tiny_1llc = topology(1, 1, 4, 1),
    tiny_2llc = topology(1, 2, 2, 1),
    odd_3llc = topology(1, 3, 3, 1),
    odd_5llc = topology(1, 5, 3, 1),
    odd_7llc = topology(1, 7, 2, 1),
    smt_2llc = topology(1, 2, 2, 2),
    smt_3llc = topology(1, 3, 2, 2),
    medium_4llc = topology(1, 4, 4, 2),
    medium_8llc = topology(1, 8, 4, 2),
    medium_4llc_nosmt = topology(1, 4, 8, 1),
    medium_8llc_nosmt = topology(1, 8, 8, 1),
    large_4llc = topology(1, 4, 16, 2),
    large_8llc = topology(1, 8, 8, 2),
    large_4llc_nosmt = topology(1, 4, 32, 1),
    large_8llc_nosmt = topology(1, 8, 16, 1),
    near_max_llc = topology(1, 15, 8, 2),
    max_cpu = topology(1, 14, 9, 2),
    near_max_llc_nosmt = topology(1, 15, 16, 1),
    max_cpu_nosmt = topology(1, 14, 18, 1),
    numa2_4llc = topology(2, 4, 4, 1),
    numa2_8llc = topology(2, 8, 8, 2),
    numa4_8llc = topology(4, 8, 4, 1),
    numa4_12llc = topology(4, 12, 8, 2),
)
