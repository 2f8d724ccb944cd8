"""Correct behaviours of the fixture, and what they hold."""

load("//examples/quickstart:scenarios.bzl", "CPUSET_SWAP", "FAIR_SHARE", "WAKEUPS")
load("//rules:defs.bzl", "cgroup", "checks", "hold", "latency", "step", "work", "workers")

# Flags of the fixture.
CORRECT = {
    "llc": ["--llc"],
    "steal": ["--steal"],
}

# More workers than any of the machines has CPUs, of all kinds.
_OVERLOADED = [step(
    cgroups = [
        cgroup("spins", work = work.cpu_spin(), workers = 20),
        cgroup("mixed", works = [
            workers(6, work.bursty("1ms", "10ms")),
            workers(4, work.pipe_ping_pong()),
            workers(2, work.yield_heavy()),
        ]),
    ],
    hold = hold.seconds(1),
)]

# Bounds are those of the quickstart where a queue without preemption can hold them: one who wakes up waits until the slice of somebody
# ends, five milliseconds and up to a tick more, and one who is behind others in the queue for theirs, too. And none is below the
# floor of the largest machine here, which has 16 CPUs.
SCENARIOS = {
    "cpuset_swap": struct(checks = checks(max_gap = "100ms"), scenario = CPUSET_SWAP),
    "fair_share": struct(checks = checks(isolation = True, max_spread = 0.6), scenario = FAIR_SHARE),
    "overloaded": struct(checks = checks(max_gap = "500ms"), scenario = _OVERLOADED),
    "wakeups": struct(checks = checks(max_wakeup_latency = latency(max = "100ms", p50 = "10ms")), scenario = WAKEUPS),
}
