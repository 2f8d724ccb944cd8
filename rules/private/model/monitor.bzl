"""What the host looks at in the guest's kernel, and names for it."""

load(":topology.bzl", "without_none")

def monitor(interval = None, tasks = None, series = None):
    """What the host samples while a case runs; the guest does nothing for it.

    Args:
      interval: guest time from sample to sample, `"1ms"` to `"10s"`; by default `"10ms"`
      tasks: guest time from one look at all tasks to the next, by default `"100ms"`
      series: variables of the scheduler: a list of `series(…)`, beside those that the scheduler brings

    Returns:
      `monitor` of a `ktstr_test`
    """
    return without_none(interval = interval, tasks = tasks, series = series or None)

def series(name, map, field = None, key = None, of_all = None):
    """A variable of the scheduler, read from its maps with each sample.

    Args:
      name: what checks call it; letters, digits, `_`
      map: name of the map; `"bss"`, `"data"` and `"rodata"` are the sections of the BPF object, where global variables are
      field: path to a number in the map's value, such as `"nr_queued"` or `"cpus[3].vtime"`; by default the value itself
      key: key of the element of a map that is no section, a whole number
      of_all: `"sum"`, `"min"` or `"max"` of the values of all CPUs, or of all elements where there is no key

    Returns:
      one of the `series` of `monitor` or of a `ktstr_scheduler`
    """
    return without_none(name = name, map = map, field = field, key = key, of_all = of_all)

def _event(name):
    """Count of an event of sched_ext since the scheduler was attached, such as `"SCX_EV_DISPATCH_KEEP_LAST"`."""
    return "event:" + name

def _series(name):
    """A variable of the scheduler, by the name of its `series`."""
    return "series:" + name

# Numbers of a sample; docs/guide/kernel-checks.md says what each is.
metric = struct(
    dsq_depth = "dsq_depth",
    event = _event,
    idle_cpus = "idle_cpus",
    imbalance = "imbalance",
    local_dsq_depth = "local_dsq_depth",
    nr_running = "nr_running",
    series = _series,
    waiting = "waiting",
)
