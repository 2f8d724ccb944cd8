"""Plays a scenario through once: which cgroups are alive when. What depends on the topology is collected for later."""

load(":host_ops.bzl", "host_op_errors")
load(":limits.bzl", "cpu_max_errors", "hold_seconds_errors", "integer_errors", "weight_errors", "workers_errors")
load(":report.bzl", "error", "is_record", "nearest", "out_of_range")
load(":units.bzl", "interval_errors")

_WORKERS_MAX = 4096
_HOLDS_MAX = 4096
_LOOP_MAX = 1000
_FAULTS = ["panic", "hang", "reboot", "power_off", "escape", "litter"]
_SCHEDULER_OPS = ["stop", "start", "restart", "replace", "command"]
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

def play(scenario, scheduler = False):
    """Goes through a scenario.

    Args:
      scenario: a list of what `step(…)` returned
      scheduler: whether there is a scheduler under test

    Returns:
      a struct: `errors`, by kind what names CPUs, as pairs of path and declaration: `cpusets`, `affinities`, `online`, `cpu_lists`, and
      `hosted`: paths of ops that the host does
    """
    state = struct(
        affinities = [],
        alive = {},
        counts = {"holds": 0, "workers": 0},
        cpu_lists = [],
        cpusets = [],
        errors = [],
        hosted = [],
        online = [],
        scheduler = {"declared": scheduler, "there": scheduler},
    )
    if type(scenario) != "list" or not scenario:
        state.errors.append(error("scenario", "is empty", "at least one step"))
        return state
    for i, step in enumerate(scenario):
        _step(state, step, "scenario[{}]".format(i))
    return state

def _items(state, value, path):
    """The items of a list with their paths; nothing and an error if it is none."""
    if type(value) == "list":
        return [(item, "{}[{}]".format(path, i)) for i, item in enumerate(value)]
    state.errors.append(error(path, "{} is not a list".format(repr(value))))
    return []

def _step(state, step, path):
    if not is_record(step, ["hold"]):
        state.errors.append(error(path, "{} is not a step".format(repr(step)), "such as step(hold = hold.seconds(1))"))
        return
    for cgroup, at in _items(state, step.get("cgroups", []), path + ".cgroups"):
        _add_cgroup(state, cgroup, at)
    _ops(state, step.get("ops", []), path + ".ops")
    hold, path = step["hold"], path + ".hold"
    if is_record(hold, ["seconds"]):
        state.errors.extend(hold_seconds_errors(path + ".seconds", hold["seconds"]))
        _hold(state, path)
    elif is_record(hold, ["loop"]):
        _loop(state, hold["loop"], path)
    else:
        state.errors.append(error(path, "{} is not a hold".format(repr(hold)), "such as hold.seconds(1)"))

def _loop(state, loop, path):
    wrong = integer_errors(path + ".loop.times", loop["times"], 1, _LOOP_MAX, "1 to {}".format(_LOOP_MAX))
    state.errors.extend(wrong + interval_errors(path + ".loop.every", loop["every"]))
    for _ in range(1 if wrong else loop["times"]):
        # What is wrong once is wrong each time.
        if state.errors:
            break
        _ops(state, loop["ops"], path + ".loop.ops")
        _hold(state, path)

def _hold(state, path):
    state.counts["holds"] += 1
    if state.counts["holds"] == _HOLDS_MAX + 1:
        problem = "more than {} holds in the whole test".format(_HOLDS_MAX)
        state.errors.append(error(path, problem, "fewer times in a loop"))

def _add_cgroup(state, cgroup, path):
    if not is_record(cgroup, ["name"]):
        state.errors.append(error(path, "{} is not a cgroup".format(repr(cgroup)), "such as cgroup(\"a\")"))
        return
    name = cgroup["name"]
    if type(name) != "string" or not name or name.strip(_NAME):
        problem = "{} is not a name of a cgroup".format(repr(name))
        state.errors.append(error(path + ".name", problem, "letters, digits, _ and -"))
        return
    if name in state.alive:
        problem = "a cgroup `{}` is there already".format(name)
        state.errors.append(error(path + ".name", problem, "another name, or remove_cgroup before"))
    parent = cgroup.get("parent")
    if parent != None:
        _find(state, parent, path + ".parent")
    state.alive[name] = parent
    if "cpuset" in cgroup:
        state.cpusets.append((path + ".cpuset", cgroup["cpuset"]))
    if "weight" in cgroup:
        state.errors.extend(weight_errors(path + ".weight", cgroup["weight"]))
    if "cpu_max" in cgroup:
        state.errors.extend(cpu_max_errors(path + ".cpu_max", cgroup["cpu_max"]))
    _spawn(state, cgroup.get("works", []), path + ".works")

def _spawn(state, works, path):
    for group, at in _items(state, works, path):
        errors = workers_errors(at, group)
        state.errors.extend(errors)
        if errors:
            continue
        if "affinity" in group:
            state.affinities.append((at + ".affinity", group["affinity"]))
        state.counts["workers"] += group["workers"]
        if state.counts["workers"] > _WORKERS_MAX:
            problem = "{} workers in the whole test".format(state.counts["workers"])
            state.errors.append(error(at + ".workers", problem, "at most {}".format(_WORKERS_MAX)))

def _find(state, name, path):
    if name in state.alive:
        return
    near = nearest(name, state.alive.keys()) if type(name) == "string" else None
    hint = "did you mean `{}`?".format(near) if near else "there are: " + ", ".join(state.alive.keys())
    state.errors.append(error(path, "no cgroup `{}` is there at this point".format(name), hint))

def _remove(state, name):
    doomed = [name]

    # Nested cgroups come after those that they are nested in.
    for child, parent in state.alive.items():
        if parent in doomed:
            doomed.append(child)
    for cgroup in doomed:
        state.alive.pop(cgroup, None)

def _ops(state, ops, path):
    for op, at in _items(state, ops, path):
        kind = op.keys()[0] if is_record(op, []) and len(op) == 1 else None
        if kind in _OPS:
            _OPS[kind](state, op[kind], at, "{}.{}".format(at, kind))
        elif kind in _HOST_OPS:
            _host_op(state, kind, op[kind], "{}.{}".format(at, kind))
        else:
            state.errors.append(error(at, "{} is not an op".format(repr(op)), "such as op.freeze(\"a\")"))

def _op_add_cgroup(state, cgroup, _, path):
    _add_cgroup(state, cgroup, path)

def _op_remove_cgroup(state, name, _, path):
    _find(state, name, path)
    _remove(state, name)

def _op_named(state, name, path, _):
    _find(state, name, path)

def _op_set_cpuset(state, op, _, path):
    _find(state, op["cgroup"], path + ".cgroup")
    state.cpusets.append((path + ".cpuset", op["cpuset"]))

def _op_swap_cpusets(state, op, _, path):
    _find(state, op["a"], path + ".a")
    _find(state, op["b"], path + ".b")

def _op_spawn(state, op, _, path):
    _find(state, op["cgroup"], path + ".cgroup")
    _spawn(state, op["works"], path + ".works")

def _op_set_weight(state, op, _, path):
    _find(state, op["cgroup"], path + ".cgroup")
    state.errors.extend(weight_errors(path + ".weight", op["weight"]))

def _op_set_cpu_max(state, op, _, path):
    _find(state, op["cgroup"], path + ".cgroup")
    if op["cpu_max"] != None:
        state.errors.extend(cpu_max_errors(path + ".cpu_max", op["cpu_max"]))

def _op_move_tasks(state, op, _, path):
    _find(state, op["from"], path + ".from")
    _find(state, op["to"], path + ".to")

def _op_online(state, cpus, _, path):
    state.online.append((path, cpus))

def _op_scheduler(state, op, _, path):
    scheduler = state.scheduler
    kind = op.keys()[0] if is_record(op, []) and len(op) == 1 else op
    if kind not in _SCHEDULER_OPS:
        state.errors.append(error(path, "{} is not an op on the scheduler".format(repr(op)), "such as op.scheduler_restart()"))
    elif not scheduler["declared"]:
        state.errors.append(error(path, "there is no scheduler under test", "a scheduler for the test"))
    elif kind == "start" and scheduler["there"]:
        state.errors.append(error(path, "the scheduler is there at this point", "stop before, or restart"))
    elif kind != "start" and not scheduler["there"]:
        state.errors.append(error(path, "the scheduler is stopped at this point", "start before, or instead"))
    else:
        scheduler["there"] = kind != "stop"
        if kind != op:
            _arguments(state, op[kind]["args"], "{}.{}.args".format(path, kind))

def _arguments(state, arguments, path):
    for argument, at in _items(state, arguments, path):
        if type(argument) != "string" or "\0" in argument:
            state.errors.append(error(at, "{} is not an argument".format(repr(argument)), "text without a zero byte"))

def _op_fault(state, kind, _, path):
    if kind not in _FAULTS:
        state.errors.append(out_of_range(path, repr(kind), "one of " + ", ".join(_FAULTS)))

def _host_op(state, kind, op, path):
    errors = host_op_errors(path, kind, op)
    state.errors.extend(errors)
    state.hosted.append(path)
    if not errors and "cpu" in op:
        state.cpu_lists.append((path + ".cpu", [op["cpu"]]))

_HOST_OPS = ["read_kernel", "read_map", "write_kernel", "write_map"]
_OPS = {
    "add_cgroup": _op_add_cgroup,
    "clear_cpuset": _op_named,
    "cpu_offline": _op_online,
    "cpu_online": _op_online,
    "fault": _op_fault,
    "freeze": _op_named,
    "move_tasks": _op_move_tasks,
    "remove_cgroup": _op_remove_cgroup,
    "scheduler": _op_scheduler,
    "set_cpu_max": _op_set_cpu_max,
    "set_cpuset": _op_set_cpuset,
    "set_weight": _op_set_weight,
    "spawn": _op_spawn,
    "stop": _op_named,
    "swap_cpusets": _op_swap_cpusets,
    "thaw": _op_named,
}
