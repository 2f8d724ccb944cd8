"""Whether declarations of CPUs hold any on a topology."""

load(":report.bzl", "error", "is_number", "is_record", "number_error", "out_of_range", "show")
load(":topologies.bzl", "cpus_of", "label_of")

def cpuset_errors(spec, topology, path):
    """What is wrong with a cpuset on a topology.

    Args:
      spec: what `cpuset.…` returned
      topology: a machine that can be
      path: where the cpuset stands

    Returns:
      a list of errors
    """
    kind = spec.keys()[0] if is_record(spec, []) and len(spec) == 1 else None
    if kind not in _CPUSETS:
        return [error(path, "{} is not a cpuset".format(repr(spec)), "such as cpuset.disjoint(0, 2)")]
    return _CPUSETS[kind](spec[kind], topology, path)

def affinity_errors(spec, topology, path):
    """What is wrong with an affinity on a topology; arguments as of `cpuset_errors`."""
    if spec in ["inherit", "llc"]:
        return []
    kind = spec.keys()[0] if is_record(spec, []) and len(spec) == 1 else None
    if kind == "single":
        return cpu_list_errors([spec[kind]], topology, path)
    if kind == "exact":
        return cpu_list_errors(spec[kind], topology, path)
    return [error(path, "{} is not an affinity".format(repr(spec)), "such as affinity.single(0)")]

def online_errors(cpus, topology, path):
    """What is wrong with a list of CPUs to take off line or bring back; arguments as of `cpuset_errors`."""
    errors = cpu_list_errors(cpus, topology, path)
    if not errors and 0 in cpus:
        errors = [error(path, "CPU 0 cannot go off line on x86", "CPUs from 1 on")]
    return errors

def cpu_list_errors(cpus, topology, path):
    """What is wrong with a list of CPU numbers; arguments as of `cpuset_errors`."""
    if type(cpus) != "list":
        return [error(path, "{} is not a list of CPUs".format(repr(cpus)), "such as [0, 1]")]
    if not cpus:
        return [error(path, "names no CPU", "at least one")]
    last = cpus_of(topology) - 1
    for cpu in cpus:
        if type(cpu) != "int" or cpu < 0 or cpu > last:
            problem = "CPU {} is not on {}".format(cpu, label_of(topology))
            return [error(path, problem, "its CPUs are 0 to {}".format(last))]
    return []

def _part(cpus, fraction):
    return int(cpus * fraction + 0.5)

def _empty(topology, path):
    problem = "holds no CPU on {}, which has {}".format(label_of(topology), cpus_of(topology))
    return error(path, problem, "a larger part, or a topology with more CPUs")

def _index_errors(index, count, name, topology, path):
    wrong = number_error(path, index, name)
    if wrong:
        return [wrong]
    if 0 <= index and index < count:
        return []
    problem = "{}({}): {} has no such index".format(name, index, label_of(topology))
    return [error(path, problem, "below {}".format(count))]

def _llc(index, topology, path):
    return _index_errors(index, topology["llcs"], "llc", topology, path)

def _numa(index, topology, path):
    return _index_errors(index, topology["numa_nodes"], "numa", topology, path)

def _range(ends, topology, path):
    start, end = ends["from"], ends["to"]
    if not (is_number(start) and is_number(end) and 0 <= start and start < end and end <= 1):
        text = "range({}, {})".format(show(start), show(end))
        return [out_of_range(path, text, "0 <= from < to <= 1")]
    cpus = cpus_of(topology)
    return [] if _part(cpus, start) < _part(cpus, end) else [_empty(topology, path)]

def _parts_errors(parts, text, topology, path):
    index, of = parts["index"], parts["of"]
    wrong = number_error(path, index, "a part") or number_error(path, of, "parts")
    if wrong:
        return [wrong]
    if of <= 0:
        return [error(path, "{}: {} parts".format(text, of), "at least 1")]
    if index < 0 or index >= of:
        return [error(path, "{}: index must be below {}".format(text, of))]
    cpus = cpus_of(topology)
    return [] if cpus * index // of < cpus * (index + 1) // of else [_empty(topology, path)]

def _disjoint(parts, topology, path):
    return _parts_errors(parts, "disjoint({index}, of {of})".format(**parts), topology, path)

def _overlap(parts, topology, path):
    fraction = parts["fraction"]
    text = "overlap({}, of {}, fraction {})".format(parts["index"], parts["of"], show(fraction))
    if not is_number(fraction) or fraction < 0 or fraction > 1:
        return [out_of_range(path, text, "a fraction is 0 to 1")]
    return _parts_errors(parts, text, topology, path)

def _holdback(fraction, topology, path):
    if not is_number(fraction) or fraction < 0 or fraction >= 1:
        return [out_of_range(path, "holdback({})".format(show(fraction)), "0 or more, below 1")]
    return [] if _part(cpus_of(topology), 1 - fraction) else [_empty(topology, path)]

_CPUSETS = {
    "disjoint": _disjoint,
    "exact": cpu_list_errors,
    "holdback": _holdback,
    "llc": _llc,
    "numa": _numa,
    "overlap": _overlap,
    "range": _range,
}
