"""What workers do, and where and how they are scheduled."""

def _cpu_spin():
    """Spins without a system call."""
    return "cpu_spin"

def _yield_heavy():
    """Calls `sched_yield` after a few microseconds of spinning."""
    return "yield_heavy"

def _bursty(burst, sleep):
    """Spins, then sleeps; its wakeup latency is how late the timer woke it.

    Args:
      burst: own CPU time a turn, such as `"5ms"`; up to `"3600s"`
      sleep: sleep a turn, such as `"20ms"`; up to `"3600s"`
    """
    return {"bursty": {"burst": burst, "sleep": sleep}}

def _pipe_ping_pong():
    """Pairs that pass a byte to and fro through pipes; an even number of workers."""
    return "pipe_ping_pong"

def _futex_ping_pong():
    """Pairs that wake each other through a futex; an even number of workers."""
    return "futex_ping_pong"

def _racy_counter():
    """Pairs that add to a counter without a lock, on purpose: a worker that sees a lost addition ends, and the case fails.

    It shows whether seeds find a race that few of them run into. An even number of workers.
    """
    return "racy_counter"

# The loop that a worker runs.
work = struct(
    bursty = _bursty,
    cpu_spin = _cpu_spin,
    futex_ping_pong = _futex_ping_pong,
    pipe_ping_pong = _pipe_ping_pong,
    racy_counter = _racy_counter,
    yield_heavy = _yield_heavy,
)

def _other():
    """`SCHED_OTHER`."""
    return "other"

def _batch():
    """`SCHED_BATCH`."""
    return "batch"

def _idle():
    """`SCHED_IDLE`."""
    return "idle"

def _fifo(priority):
    """`SCHED_FIFO`; a priority of 1 to 98."""
    return {"fifo": priority}

def _rr(priority):
    """`SCHED_RR`; a priority of 1 to 98."""
    return {"rr": priority}

# Scheduling policies, sched(7).
policy = struct(batch = _batch, fifo = _fifo, idle = _idle, other = _other, rr = _rr)

def _llc(index):
    """The CPUs of one last-level cache, counted from 0."""
    return {"llc": index}

def _numa(index):
    """The CPUs of one NUMA node, counted from 0."""
    return {"numa": index}

def _range(start, end):
    """A part of all CPUs, as fractions of their number: `0 <= start < end <= 1`."""
    return {"range": {"from": start, "to": end}}

def _disjoint(index, of):
    """Part `index`, counted from 0, of `of` equal parts of all CPUs."""
    return {"disjoint": {"index": index, "of": of}}

def _overlap(index, of, fraction):
    """As `disjoint`, reaching into the next part by `fraction` (0 to 1) of a part."""
    return {"overlap": {"fraction": fraction, "index": index, "of": of}}

def _exact(cpus):
    """These CPUs, by number."""
    return {"exact": cpus}

def _holdback(fraction):
    """All but the last `fraction` (0 or more, below 1) of the CPUs."""
    return {"holdback": fraction}

# CPUs of a cgroup.
cpuset = struct(
    disjoint = _disjoint,
    exact = _exact,
    holdback = _holdback,
    llc = _llc,
    numa = _numa,
    overlap = _overlap,
    range = _range,
)

def _inherit():
    """Whatever the cgroup allows."""
    return "inherit"

def _single(cpu):
    """One CPU, by number, for all workers of the group."""
    return {"single": cpu}

def _each_llc():
    """Worker i to the CPUs of last-level cache i modulo their number."""
    return "llc"

# Affinity of the workers of a group, inside the cpuset of their cgroup.
affinity = struct(exact = _exact, inherit = _inherit, llc = _each_llc, single = _single)
