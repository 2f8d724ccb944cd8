"""Whether a machine can be."""

load(":report.bzl", "error", "is_record", "number_error")
load(":units.bzl", "mebibytes", "memory_error", "show_mebibytes")

_COUNTS = ["numa_nodes", "llcs", "cores_per_llc", "threads_per_core"]

_MEMORY_MIN = 256
_MEMORY_DEFAULT = 1024
_MEMORY_PER_CPU = 16
_NODE_MEMORY_MIN = 32
_MEMORY_MAX = 256 * 1024
_NODES_MAX = 64

# Most CPUs of each back end under each of its clocks.
BACKENDS = {
    "tcg": {"real": 256, "virtual": 32},
    "kvm": {"real": 512},
}
CLOCKS = BACKENDS["tcg"].keys()

def cpus_of(topology):
    """Number of CPUs of a machine."""
    return topology["llcs"] * topology["cores_per_llc"] * topology["threads_per_core"]

def label_of(topology):
    """The label, such as `1n2l4c2t`."""
    return "{numa_nodes}n{llcs}l{cores_per_llc}c{threads_per_core}t".format(**{name: topology[name] for name in _COUNTS})

def memory_of(topology):
    """Memory of a machine in MiB."""
    default = _MEMORY_DEFAULT + max(0, cpus_of(topology) - 8) * _MEMORY_PER_CPU
    return mebibytes(topology["memory"]) if "memory" in topology else default

def clock_of(topology, clock, backend = "tcg"):
    """The clock of a machine on a back end if `clock` is asked for: `auto`, `virtual` or `real`."""
    if clock in CLOCKS:
        return clock
    if backend == "kvm":
        return "real"
    return "virtual" if cpus_of(topology) <= BACKENDS[backend]["virtual"] else "real"

def clock_errors(topology, clock, path, backend = "tcg"):
    """Errors if a back end does not have the clock, or a machine has more CPUs than it takes."""
    cpus, clock, most_of = cpus_of(topology), clock_of(topology, clock, backend), BACKENDS[backend]
    if clock not in most_of:
        problem = "the back end {} has no {} clock".format(backend, clock)
        return [error("clock", problem, "clock = \"real\" would do, or the back end tcg, which \"auto\" takes for it")]
    if cpus <= most_of[clock]:
        return []
    others = ["clock = \"{}\" takes {}".format(name, most) for name, most in most_of.items() if most >= cpus]
    others += ["backend = \"kvm\" takes {}".format(most) for most in BACKENDS["kvm"].values() if most >= cpus]
    problem = "{} has {} CPUs: at most {} under the {} clock".format(label_of(topology), cpus, most_of[clock], clock)
    return [error(path, problem, others[0] if others else "no clock takes more")]

def topology_errors(topology, path):
    """What makes a machine impossible.

    Args:
      topology: what `topology(…)` returned
      path: where it stands in the declaration

    Returns:
      a list of errors
    """
    if not is_record(topology, _COUNTS):
        return [error(path, "{} is not a topology".format(repr(topology)), "such as topology(1, 2, 2, 1)")]
    for name in _COUNTS:
        wrong = number_error("{}.{}".format(path, name), topology[name], name)
        if wrong:
            return [wrong]
        if topology[name] <= 0:
            return [error("{}.{}".format(path, name), "{} is not a machine".format(topology[name]), "at least 1")]
    return (
        _llc_errors(topology["llcs"], topology["numa_nodes"], path + ".llcs") or
        _thread_errors(topology["threads_per_core"], path + ".threads_per_core") or
        (_memory_errors(topology, path + ".memory") +
         _node_errors(topology, path + ".numa_nodes") +
         _distance_errors(topology.get("distances"), topology["numa_nodes"], path + ".distances"))
    )

def _llc_errors(llcs, nodes, path):
    if llcs % nodes == 0:
        return []
    below = llcs - llcs % nodes
    hint = "{} or {} would do".format(below, below + nodes) if below else "{} would do".format(nodes)
    return [error(path, "{} LLCs do not divide among {} NUMA nodes".format(llcs, nodes), hint)]

def _thread_errors(threads, path):
    return [error(path, "{} threads a core: x86 has 1 or 2".format(threads))] if threads > 2 else []

def _node_errors(topology, path):
    nodes = topology["numa_nodes"]
    if nodes <= _NODES_MAX:
        return []
    return [error(path, "{} NUMA nodes on the back end tcg".format(nodes), "at most {}".format(_NODES_MAX))]

def _memory_errors(topology, path):
    wrong = memory_error(path, topology["memory"]) if "memory" in topology else None
    if wrong:
        return [wrong]
    memory, nodes = memory_of(topology), topology["numa_nodes"]
    size, least = show_mebibytes(memory), _NODE_MEMORY_MIN * nodes
    if memory < _MEMORY_MIN:
        problem = "{} is too small for a kernel to boot".format(size)
        return [error(path, problem, "at least {}".format(show_mebibytes(_MEMORY_MIN)))]
    if memory > _MEMORY_MAX:
        problem = "{} on the back end tcg".format(size)
        return [error(path, problem, "at most {}".format(show_mebibytes(_MEMORY_MAX)))]
    if memory < least:
        problem = "{} is too small for {} NUMA nodes".format(size, nodes)
        return [error(path, problem, "at least {}".format(show_mebibytes(least)))]
    return []

def _distance_errors(matrix, nodes, path):
    if matrix == None:
        return []
    rows = matrix if type(matrix) == "list" else []
    if len(rows) != nodes or [row for row in rows if type(row) != "list" or len(row) != nodes]:
        return [error(path, "not a square of {0} by {0}".format(nodes))]
    errors = []
    for i, row in enumerate(rows):
        for j, distance in enumerate(row):
            if not (type(distance) == "int" and (distance == 10 if i == j else 11 <= distance and distance <= 254)):
                hint = "a node is 10 from itself" if i == j else "11 to 254 between nodes"
                errors.append(error("{}[{}][{}]".format(path, i, j), "{} cannot be".format(repr(distance)), hint))
    return errors
