"""Steps, cgroups, worker groups and holds."""

load(":topology.bzl", "without_none")

def workers(workers, work, affinity = None, policy = None, nice = None):
    """A worker group for `works`.

    Args:
      workers: how many; all groups of a test together have at most 4096
      work: what each does: `work.…`
      affinity: where they may run inside the cpuset of their cgroup: `affinity.…`
      policy: `policy.…`; by default `SCHED_OTHER`
      nice: -20 to 19; by default 0

    Returns:
      an item of `works` of a `cgroup` or of `op.spawn`
    """
    group = without_none(affinity = affinity, policy = policy, nice = nice)
    return dict(group, work = work, workers = workers)

def cpu_max(quota, period = "100ms"):
    """A limit of CPU time.

    Args:
      quota: CPU time in each period, at least `"1ms"`; more than the period is more than one CPU
      period: `"1ms"` to `"1s"`

    Returns:
      `cpu_max` of a `cgroup`
    """
    return {"period": period, "quota": quota}

def cgroup(
        name,
        workers = None,
        work = None,
        cpuset = None,
        affinity = None,
        policy = None,
        nice = None,
        weight = None,
        cpu_max = None,
        parent = None,
        works = None):
    """A cgroup with its workers.

    Args:
      name: unique among the cgroups that are alive; letters, digits, `_` and `-`
      workers: how many workers; `work`, `affinity`, `policy` and `nice` are theirs, as in `workers(…)`
      work: what each of them does: `work.…`
      cpuset: its CPUs: `cpuset.…`; by default those of its parent
      affinity: where the workers may run inside the cpuset: `affinity.…`
      policy: `policy.…` of the workers; by default `SCHED_OTHER`
      nice: of the workers, -20 to 19; by default 0
      weight: `cpu.weight`, 1 to 10000; by default the kernel's 100
      cpu_max: `cpu_max(…)`; by default no limit
      parent: name of the cgroup that it is nested in
      works: more worker groups: `workers(…)`

    Returns:
      an item of `cgroups` of a `step`
    """
    groups = []
    if [field for field in [workers, work, affinity, policy, nice] if field != None]:
        groups.append(_workers(workers, work, affinity, policy, nice))
    if works != None:
        groups = groups + works if type(works) == "list" else works
    return without_none(
        name = name,
        parent = parent,
        cpuset = cpuset,
        weight = weight,
        cpu_max = cpu_max,
        works = groups or None,
    )

# The parameter of `cgroup` hides the function.
_workers = workers

def step(hold, cgroups = None, ops = None):
    """Creates cgroups, applies ops, then holds.

    Args:
      hold: how long the step lasts, in guest time: `hold.…`
      cgroups: created before the ops; each lives until an op or the end removes it
      ops: applied in order: `op.…`

    Returns:
      an item of `scenario` of a `ktstr_test`
    """
    return dict(without_none(cgroups = cgroups or None, ops = ops or None), hold = hold)

def _seconds(seconds):
    """Guest seconds, above 0, at most 3600."""
    return {"seconds": seconds}

def _loop(ops, every, times):
    """Applies ops, waits, and so on.

    Args:
      ops: applied each time, in order
      every: wait after each time, in guest time, such as `"100ms"`
      times: 1 to 1000
    """
    return {"loop": {"every": every, "ops": ops, "times": times}}

# How long a step lasts.
hold = struct(loop = _loop, seconds = _seconds)
