"""What happens in the tests to start from: tests of schedulers run the same."""

load("@ktstr//rules:defs.bzl", "cgroup", "cpuset", "hold", "op", "step", "work")

# Two cgroups, each with two spinners on half of the CPUs.
FAIR_SHARE = [step(
    cgroups = [
        cgroup(
            "a",
            cpuset = cpuset.disjoint(0, 2),
            work = work.cpu_spin(),
            workers = 2,
        ),
        cgroup(
            "b",
            cpuset = cpuset.disjoint(1, 2),
            work = work.cpu_spin(),
            workers = 2,
        ),
    ],
    hold = hold.seconds(1),
)]

# Two cgroups that exchange their CPUs in a second step.
CPUSET_SWAP = [
    step(
        cgroups = [
            cgroup(
                "left",
                cpuset = cpuset.llc(0),
                work = work.cpu_spin(),
                workers = 2,
            ),
            cgroup(
                "right",
                cpuset = cpuset.llc(1),
                work = work.yield_heavy(),
                workers = 2,
            ),
        ],
        hold = hold.seconds(0.5),
    ),
    step(
        hold = hold.seconds(0.5),
        ops = [op.swap_cpusets("left", "right")],
    ),
]

# Workers that sleep and are woken beside others that never sleep.
WAKEUPS = [step(
    cgroups = [
        cgroup(
            "wakes",
            work = work.bursty(
                burst = "1ms",
                sleep = "10ms",
            ),
            workers = 4,
        ),
        cgroup(
            "spins",
            work = work.cpu_spin(),
            workers = 4,
        ),
    ],
    hold = hold.seconds(1),
)]
