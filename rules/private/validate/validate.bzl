"""Whether a declaration makes sense. The runner looks at everything again; here it is said when the BUILD file is loaded."""

load(":checks.bzl", "checks_errors")
load(":cpusets.bzl", "affinity_errors", "cpu_list_errors", "cpuset_errors", "online_errors")
load(":flags.bzl", "profiles_errors")
load(":limits.bzl", "integer_errors")
load(":monitor.bzl", "monitor_errors", "on_samples_errors")
load(":placement.bzl", "placement_errors")
load(":report.bzl", "error", "nearest", "unknown")
load(":scenario.bzl", "play")
load(":scheduler.bzl", "expect_failure_errors")
load(":topologies.bzl", "BACKENDS", "CLOCKS", "clock_errors", "label_of", "topology_errors")

_SEEDS_MAX = 10000
_TRACE_EVENTS = ["sched_switch"]

def validate(spec):
    """Everything that is wrong with a declaration.

    Args:
      spec: a dict with `name`, `scenario` and what else is set of `topologies`, `scheduler`, `flags`, `checks`, `expect_failure`, `seeds`,
        `seed`, `kernel_args`, `monitor`, `trace`, `backend`, `clock`, `start`, `pin_cpus`, `huge_pages`. Topologies may come from the scheduler, and are looked at when
        they are known

    Returns:
      a list of texts: `path: problem; what would do`
    """
    errors = _scheduler_errors(spec.get("scheduler"), spec.get("flags"))
    inherits = "topologies" not in spec and spec.get("scheduler") != None
    machines = [] if inherits else _machines(spec, errors)
    played = play(spec["scenario"], spec.get("scheduler") != None)
    errors.extend(played.errors)
    for machine in machines:
        for found, look in [
            (played.cpusets, cpuset_errors),
            (played.affinities, affinity_errors),
            (played.online, online_errors),
            (played.cpu_lists, cpu_list_errors),
        ]:
            for path, declaration in found:
                errors.extend(look(declaration, machine, path))
    errors.extend(checks_errors("checks", spec.get("checks", {})))
    monitor = spec.get("monitor", True)
    errors.extend(monitor_errors("monitor", monitor))
    if monitor == False and played.hosted:
        problem = "the host has to look at the kernel for this, and monitor is False"
        errors.append(error(played.hosted[0], problem, "leave monitor away"))

    # Those of a scheduler are known later.
    errors.extend(on_samples_errors("checks", spec.get("checks", {}), monitor, [], known = spec.get("scheduler") == None))
    if "expect_failure" in spec:
        errors.extend(expect_failure_errors("expect_failure", spec["expect_failure"]))
    errors.extend(_seed_errors(spec.get("seeds"), spec.get("seed")))
    errors.extend(_kernel_args_errors(spec.get("kernel_args", [])))
    errors.extend(_trace_errors(spec.get("trace", [])))
    errors.extend(_choice_errors("backend", spec.get("backend"), BACKENDS.keys()))
    errors.extend(_choice_errors("clock", spec.get("clock"), CLOCKS))
    errors.extend(_choice_errors("start", spec.get("start"), ["snapshot", "attach", "boot"]))
    errors.extend(placement_errors(spec, spec.get("backend")))

    # Several topologies may say the same.
    return {text: True for text in errors}.keys()

def _machines(spec, errors):
    """The topologies that can be; what is wrong with the others goes to `errors`."""
    topologies, backend = spec.get("topologies"), spec.get("backend")

    # What runs them may be known only later.
    backend = backend if backend in BACKENDS else "tcg"
    if type(topologies) != "list" or not topologies:
        errors.append(error("topologies", "is empty", "at least one, such as topology(1, 2, 2, 1)"))
        return []
    machines, labels = [], {}
    for i, topology in enumerate(topologies):
        path = "topologies[{}]".format(i)
        wrong = topology_errors(topology, path) or clock_errors(topology, spec.get("clock"), path, backend)
        if not wrong and label_of(topology) in labels:
            hint = "cases would have equal names: put one of them into a target of its own"
            wrong = [error(path, "{} stands there twice".format(label_of(topology)), hint)]
        errors.extend(wrong)
        if not wrong:
            labels[label_of(topology)] = True
            machines.append(topology)
    return machines

def _scheduler_errors(scheduler, flags):
    if type(scheduler) == "list":
        return [error("scheduler", "{} schedulers: the kernel takes one at a time".format(len(scheduler)), "a test for each")]
    if flags == None:
        return []
    if scheduler == None:
        return [error("flags", "there is no scheduler whose flags they could be")]
    return profiles_errors(flags)

def _seed_errors(seeds, seed):
    if seeds != None and seed != None:
        return [error("seed", "stands beside `seeds`", "one of them")]
    if seeds != None:
        return integer_errors("seeds", seeds, 1, _SEEDS_MAX, "1 to {}".format(_SEEDS_MAX))
    if seed == None or seed == "random":
        return []
    return integer_errors("seed", seed, 0, None, "0 or more, or \"random\"")

def _kernel_args_errors(arguments):
    errors = []
    for i, argument in enumerate(arguments):
        if type(argument) != "string" or not argument or [c for c in argument.elems() if c in " \t\n\r\""]:
            problem = "{} is not one argument of a kernel command line".format(repr(argument))
            errors.append(error("kernel_args[{}]".format(i), problem, "one item for each argument"))
    return errors

def _trace_errors(trace):
    if type(trace) != "list":
        return [error("trace", "{} is not a list".format(repr(trace)), "such as [\"sched_switch\"]")]
    errors = []
    for i, event in enumerate(trace):
        path = "trace[{}]".format(i)
        if type(event) != "string":
            errors.append(error(path, "{} is not the name of a tracepoint".format(repr(event)), "such as \"sched_switch\""))
        elif event not in _TRACE_EVENTS:
            errors.append(unknown(path, "tracepoint", event, _TRACE_EVENTS))
        elif event in trace[:i]:
            errors.append(error(path, "{} stands there twice".format(event)))
    return errors

def _choice_errors(path, value, choices):
    if value == None or value in choices:
        return []
    near = nearest(value, choices) if type(value) == "string" else None
    hint = "did you mean `{}`?".format(near) if near else "one of " + ", ".join(choices)
    return [error(path, "unknown {} {}".format(path, repr(value)), hint)]
