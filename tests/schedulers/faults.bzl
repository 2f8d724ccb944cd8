"""Faults: how each is switched on, what shows it, and as what it has to be reported."""

load("//rules:defs.bzl", "affinity", "cgroup", "checks", "expect_failure", "hold", "latency", "monitor", "over_time", "policy", "series", "step", "topology", "work", "workers")
load(":kernels.bzl", "SERIES")

# The slice is as short as the kernel's tick, so that many tasks have their turns in a second.
_SHORT_SLICES = ["--llc", "--slice-us", "1000"]

_ONE = topology(1, 1, 1, 1)
_TWO = topology(1, 1, 2, 1)
_THREE = topology(1, 1, 3, 1)
_FOUR = topology(1, 1, 4, 1)

def _spin(*works, seconds = 1):
    return [step(cgroups = [cgroup("a", works = list(works))], hold = hold.seconds(seconds))]

_TWO_SPIN = _spin(workers(2, work.cpu_spin()))

# CPUs that real-time tasks take for a while, each at times of its own, and a task that is woken beside them: some CPU is idle nearly always.
_HOGS = [step(
    cgroups = [
        cgroup("hogs", works = [
            workers(1, work.bursty("40ms", sleep), affinity = affinity.single(cpu), policy = policy.fifo(1))
            for cpu, sleep in enumerate(["110ms", "127ms", "149ms", "163ms"])
        ]),
        cgroup("woken", work = work.bursty("1ms", "3ms"), workers = 1),
    ],
    hold = hold.seconds(2),
)]

_STARVED = [step(
    cgroups = [cgroup(name, work = work.cpu_spin(), workers = 1) for name in ["low", "other"]],
    hold = hold.seconds(1),
)]

# A real-time task that never sleeps and a task of the scheduler on one CPU, for twice the time of its watchdog.
_BEHIND_RT = [step(
    cgroups = [
        cgroup("rt", affinity = affinity.single(1), policy = policy.fifo(1), work = work.cpu_spin(), workers = 1),
        cgroup("ext", affinity = affinity.single(1), work = work.cpu_spin(), workers = 1),
    ],
    hold = hold.seconds(4),
)]

# Each CPU has tasks of its own that call the scheduler all the time.
_RING = [step(
    cgroups = [cgroup("ring", works = [
        workers(4, work.yield_heavy(), affinity = affinity.single(cpu))
        for cpu in range(3)
    ])],
    hold = hold.seconds(2),
)]

def _test(scenario = _TWO_SPIN, topology = _ONE, **kwargs):
    return dict(scenario = scenario, topologies = [topology], **kwargs)

def _fault(args, expected, without = [], **kwargs):
    """A fault.

    Args:
      args: that switch it on
      expected: the failure
      without: flags of the scheduler that has it, and that has no fault
      **kwargs: what shows it: `scenario`, `topology`, `checks`; by default two spinners on one CPU
    """
    return struct(args = args, expected = expected, test = _test(**kwargs), without = without)

# Name -> the fault.
FAULTS = {
    # A counter that no longer follows what it counts: nothing stalls, and no worker notices.
    "count-twice": _fault(
        ["--fault", "count-twice"],
        expect_failure("check", message = "nr_queued", phase = "run"),
        checks = checks(over_time = [over_time.equals_sum_of_dsq("nr_queued", dsqs = [0], samples = 3)]),
        monitor = monitor(series = [series("nr_queued", map = "bss", field = "nr_queued")]),
        scenario = _spin(workers(3, work.cpu_spin())),
        without = ["llc"],
    ),
    "drop": _fault(
        ["--fault", "drop", "--target", "cpu_spin"],
        expect_failure("stall", message = "cpu_spin", phase = "run"),
        # The scheduler asks for a watchdog of two seconds, and the kernel looks twice in that time.
        scenario = _spin(workers(2, work.cpu_spin()), seconds = 4),
    ),
    "error": _fault(
        ["--fault", "error=50"],
        expect_failure("bpf_error", message = "on purpose after 50 dispatches", phase = "run"),
    ),
    "error-line": _fault(
        ["--fault", "error-line"],
        expect_failure("error_log", message = "on purpose", phase = "run"),
    ),
    "exit": _fault(
        ["--fault", "exit=50"],
        expect_failure("exit", message = "by itself with exit code 0", phase = "run"),
    ),
    "hang": _fault(
        ["--fault", "hang"],
        expect_failure("load_hang", phase = "load"),
    ),
    # A task waits for the one CPU that looks into its queue, beside another one that idles.
    "idle-beside-queue": _fault(
        ["--slice-us", "100000", "--fault", "one-cpu", "--target", "bursty"],
        expect_failure("check", message = "work_conserving", phase = "run"),
        checks = checks(work_conserving = "20ms"),
        monitor = monitor(tasks = "10ms"),
        scenario = _spin(
            workers(1, work.cpu_spin(), affinity = affinity.single(0)),
            workers(1, work.bursty("1ms", "3ms")),
        ),
        topology = _TWO,
    ),
    "invert": _fault(
        ["--fault", "invert"],
        expect_failure("check", message = "weight_share", phase = "run"),
        checks = checks(weight_share = 0.25),
        # Of two tasks each would get every second slice: only one is in the queue when the CPU looks for the next.
        scenario = _spin(workers(3, work.cpu_spin()), workers(3, work.cpu_spin(), nice = 5)),
        without = ["short-slices"],
    ),
    "no-kick": _fault(
        ["--fault", "no-kick"],
        expect_failure("check", message = "max_wakeup_latency", phase = "run"),
        checks = checks(max_wakeup_latency = latency(p99 = "8ms")),
        scenario = _HOGS,
        topology = _FOUR,
    ),
    "not-allowed": _fault(
        ["--fault", "not-allowed"],
        expect_failure("runtime_error", message = "not allowed for", phase = "run"),
        # Until the kernel has thrown it out not everybody runs, and that takes a second, or on 6.16 until the workers end.
        checks = checks(max_gap = False, not_starved = False),
        scenario = _spin(workers(2, work.cpu_spin()), workers(1, work.cpu_spin(), affinity = affinity.single(1))),
        topology = _TWO,
    ),
    "panic-load": _fault(
        ["--fault", "panic-load"],
        expect_failure("user_panic", message = "before ktstr_fifo is loaded", phase = "load"),
    ),
    "panic-run": _fault(
        ["--fault", "panic-run=50"],
        expect_failure("user_panic", message = "on purpose", phase = "run"),
    ),
    "starve": _fault(
        ["--fault", "starve", "--target", "low"],
        expect_failure("check", message = "max_gap", phase = "run"),
        checks = checks(max_gap = "200ms"),
        scenario = _STARVED,
    ),
    # A kernel thread that nobody declared waits behind a worker on its CPU, for less than the watchdog's time.
    "starve-kthreads": _fault(
        ["--timeout-ms", "6000", "--fault", "starve-kthreads=3000", "--target", "kworker/1:"],
        expect_failure("check", message = "kworker/1:", phase = "run"),
        scenario = _spin(seconds = 4, *[workers(1, work.cpu_spin(), affinity = affinity.single(cpu)) for cpu in range(2)]),
        topology = _TWO,
    ),
    "verifier": _fault(
        ["--fault", "verifier"],
        expect_failure("verifier", message = "unbounded min value", phase = "verify"),
    ),
    # A virtual time that is far from where the others are, seen before the task that has it waits.
    "vtime-far": _fault(
        ["--fault", "wrap", "--target", "cpu_spin"],
        expect_failure("check", message = "vtime_max", phase = "run"),
        checks = checks(not_starved = False, over_time = [over_time.near_now("vtime_max", clock = "llc_vtime", within = "1s")]),
        monitor = monitor(series = [
            series("vtime_max", map = "bss", field = "vtime_max"),
            series("llc_vtime", map = "ktstr_llc_vtime", key = 0),
        ]),
        scenario = _spin(workers(3, work.cpu_spin()), seconds = 0.3),
        without = ["llc"],
    ),
    "wrap": _fault(
        ["--fault", "wrap", "--target", "cpu_spin"],
        expect_failure("check", message = "max_gap", phase = "run"),
        # It may have run for the last time before the hold begins.
        checks = checks(max_gap = "300ms", not_starved = False),
        scenario = _spin(workers(3, work.cpu_spin())),
        without = ["llc"],
    ),
}

def _others_fault(expected, broken, fixed, flags = [], args = None, **kwargs):
    """What looks like a scheduler's stall, or is one, for a reason in the kernel or in another scheduling class.

    Args:
      expected: the failure
      broken: kernels on which it fails
      fixed: kernels on which it does not
      flags: of the scheduler
      args: of the flag, if it is not one of the others
      **kwargs: what shows it
    """
    return struct(args = args, broken = broken, expected = expected, fixed = fixed, flags = flags, test = _test(**kwargs))

# Name -> what is not the scheduler's fault.
OTHERS_FAULTS = {
    # From 7.0 on the kernel keeps a part of each CPU for sched_ext tasks (its deadline server).
    "behind_rt": _others_fault(
        expect_failure("stall_behind_rt", message = "behind cpu_spin", phase = "run"),
        broken = SERIES[:2],
        # The part comes once a second.
        checks = checks(max_gap = False),
        fixed = SERIES[2:],
        # The kernel's own brake on real-time tasks is off.
        kernel_args = ["sysctl.kernel.sched_rt_runtime_us=-1"],
        scenario = _BEHIND_RT,
        topology = _TWO,
    ),
    # The thread that attaches is a sched_ext task before the last ones that spin are, and does not run any more. Fixed in 7.0 by a thread
    # of a real-time class, and in 6.19.14.
    "busy_attach": _others_fault(
        # Where it is in the kernel. The state is "enabling", or "disabling" for ever, once the watchdog's time is over, too.
        expect_failure("attach_hang", message = "scx_enable", phase = "attach"),
        args = ["--fault", "busy=1000"],
        broken = SERIES[:1],
        fixed = SERIES[1:],
        flags = ["busy"],
        topology = _TWO,
    ),
    # Three CPUs that wait for each other with interrupts off. Fixed in 7.0 by deferring the wait, and in 6.19.14.
    "kick_wait": _others_fault(
        expect_failure("hang", message = "kick_cpus_irq_workfn", phase = "run"),
        args = ["--fault", "kick-wait"],
        broken = SERIES[:1],
        fixed = SERIES[1:],
        flags = ["kick-wait"],
        scenario = _RING,
        topology = _THREE,
    ),
}

# Every flag of the fixture that is about a fault.
ALL_FAULTS = FAULTS | {
    fault.flags[0]: fault
    for fault in OTHERS_FAULTS.values()
    if fault.args
} | {"short-slices": struct(args = _SHORT_SLICES)}
