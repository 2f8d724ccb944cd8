"""Changes while a test runs."""

load(":topology.bzl", "without_none")

def _add_cgroup(cgroup):
    """Creates a `cgroup(…)` and starts its workers."""
    return {"add_cgroup": cgroup}

def _remove_cgroup(cgroup):
    """Stops the workers of a cgroup and of those nested in it, and removes them."""
    return {"remove_cgroup": cgroup}

def _set_cpuset(cgroup, cpuset):
    """Gives a cgroup other CPUs: `cpuset.…`."""
    return {"set_cpuset": {"cgroup": cgroup, "cpuset": cpuset}}

def _clear_cpuset(cgroup):
    """Lets a cgroup use all CPUs of its parent."""
    return {"clear_cpuset": cgroup}

def _swap_cpusets(a, b):
    """Exchanges the CPUs of two cgroups."""
    return {"swap_cpusets": {"a": a, "b": b}}

def _spawn(cgroup, works):
    """Starts more worker groups, `workers(…)`, in a cgroup."""
    return {"spawn": {"cgroup": cgroup, "works": works}}

def _stop(cgroup):
    """Stops the workers of a cgroup."""
    return {"stop": cgroup}

def _set_weight(cgroup, weight):
    """Sets `cpu.weight`, 1 to 10000."""
    return {"set_weight": {"cgroup": cgroup, "weight": weight}}

def _set_cpu_max(cgroup, cpu_max):
    """Sets `cpu.max` to `cpu_max(…)`; `None` lifts it."""
    return {"set_cpu_max": {"cgroup": cgroup, "cpu_max": cpu_max}}

def _move_tasks(source, destination):
    """Moves all workers from one cgroup to another."""
    return {"move_tasks": {"from": source, "to": destination}}

def _freeze(cgroup):
    """Freezes a cgroup."""
    return {"freeze": cgroup}

def _thaw(cgroup):
    """Thaws a cgroup."""
    return {"thaw": cgroup}

def _cpu_offline(cpus):
    """Takes CPUs off line, by number; CPU 0 stays."""
    return {"cpu_offline": cpus}

def _cpu_online(cpus):
    """Brings CPUs on line, by number."""
    return {"cpu_online": cpus}

def _scheduler_stop():
    """Tells the scheduler under test to end, and waits until it is gone."""
    return {"scheduler": "stop"}

def _scheduler_start():
    """Starts the scheduler under test again, and waits until it is attached."""
    return {"scheduler": "start"}

def _scheduler_restart():
    """Stops the scheduler under test and starts it again."""
    return {"scheduler": "restart"}

def _scheduler_replace(args):
    """Stops the scheduler under test and starts it again with other arguments, a list of all of them."""
    return {"scheduler": {"replace": {"args": args}}}

def _scheduler_command(args):
    """Runs the program of the scheduler once more beside it, with these arguments, and waits for its end, which has to be a good one."""
    return {"scheduler": {"command": {"args": args}}}

def _read_map(map, field = None, key = None, of_all = None, expect = None):
    """Reads a variable of the scheduler from the host, while the guest waits; arguments as of `series(…)`, and `expect`: what it has to be."""
    return {"read_map": without_none(map = map, field = field, key = key, of_all = of_all, expect = expect)}

def _write_map(map, value, field = None, key = None):
    """Writes a variable of the scheduler from the host, while the guest waits; of a map with a value for each CPU, or without a `key`, all of them."""
    return {"write_map": without_none(map = map, field = field, key = key, value = value)}

def _read_kernel(symbol, field = None, cpu = None, of_type = None, expect = None):
    """Reads a variable of the kernel from the host, while the guest waits.

    Args:
      symbol: its name, as in /proc/kallsyms; `MODULE:SYMBOL` of one of a module
      field: path to a number in it, such as `"curr->pid"` or, behind a pointer, `"->exit_kind.counter"`; by default the variable itself
      cpu: whose it is, if each CPU has its own
      of_type: its type as in C, such as `"u64"` or `"struct scx_sched *"`; the kernel says it of variables that each CPU has
      expect: what it has to be; by default it is only in the report

    Returns:
      one of the `ops` of a step
    """
    return {"read_kernel": without_none(symbol = symbol, field = field, cpu = cpu, of_type = of_type, expect = expect)}

def _write_kernel(symbol, value, field = None, cpu = None, of_type = None):
    """Writes a variable of the kernel from the host, while the guest waits; arguments as of `read_kernel`."""
    return {"write_kernel": without_none(symbol = symbol, field = field, cpu = cpu, of_type = of_type, value = value)}

def _fault(kind):
    """Makes the guest fail on purpose: `"panic"`, `"hang"`, `"reboot"`, `"power_off"`, `"escape"` or `"litter"`."""
    return {"fault": kind}

# Cgroups are named; they must be alive when the op is applied.
op = struct(
    add_cgroup = _add_cgroup,
    clear_cpuset = _clear_cpuset,
    cpu_offline = _cpu_offline,
    cpu_online = _cpu_online,
    fault = _fault,
    freeze = _freeze,
    move_tasks = _move_tasks,
    read_kernel = _read_kernel,
    read_map = _read_map,
    remove_cgroup = _remove_cgroup,
    scheduler_command = _scheduler_command,
    scheduler_replace = _scheduler_replace,
    scheduler_restart = _scheduler_restart,
    scheduler_start = _scheduler_start,
    scheduler_stop = _scheduler_stop,
    set_cpu_max = _set_cpu_max,
    set_cpuset = _set_cpuset,
    set_weight = _set_weight,
    spawn = _spawn,
    stop = _stop,
    swap_cpusets = _swap_cpusets,
    thaw = _thaw,
    write_kernel = _write_kernel,
    write_map = _write_map,
)
