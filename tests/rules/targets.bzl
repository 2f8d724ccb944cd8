"""Refusals of what belongs to the whole target."""

load("//rules:defs.bzl", "checks", "latency", "presets", "topology")
load(":refusals.bzl", "refusal")

_PERCENTILES = "p50, p99, p999, max"

def _topology(*args, **kwargs):
    return refusal(topologies = [topology(*args, **kwargs)])

def _checks(**bounds):
    return refusal(checks = checks(**bounds))

TOPOLOGIES = {
    "distances between nodes": (
        _topology(2, 2, 1, 1, distances = [[10, 5], [20, 11]]),
        [
            "topologies[0].distances[0][1]: 5 cannot be; 11 to 254 between nodes",
            "topologies[0].distances[1][1]: 11 cannot be; a node is 10 from itself",
        ],
    ),
    "distances of other nodes": (
        _topology(2, 2, 1, 1, distances = [[10, 20]]),
        ["topologies[0].distances: not a square of 2 by 2"],
    ),
    "fewer LLCs than nodes": (
        _topology(4, 2, 1, 1),
        ["topologies[0].llcs: 2 LLCs do not divide among 4 NUMA nodes; 4 would do"],
    ),
    "insisted clock": (
        refusal(clock = "virtual", topologies = [presets.large_4llc]),
        ["topologies[0]: 1n4l16c2t has 128 CPUs: at most 32 under the virtual clock; clock = \"real\" takes 256"],
    ),
    "little memory": (
        _topology(1, 1, 1, 1, memory = "64M"),
        ["topologies[0].memory: 64M is too small for a kernel to boot; at least 256M"],
    ),
    "little memory a node": (
        _topology(16, 16, 1, 1, memory = "256M"),
        ["topologies[0].memory: 256M is too small for 16 NUMA nodes; at least 512M"],
    ),
    "memory without unit": (
        _topology(1, 1, 1, 1, memory = "512"),
        ["topologies[0].memory: `512` is not a size of memory, such as \"512M\" or \"2G\""],
    ),
    "more nodes than there can be": (
        _topology(65, 65, 1, 1, memory = "4G"),
        ["topologies[0].numa_nodes: 65 NUMA nodes on the back end tcg; at most 64"],
    ),
    "much memory": (
        _topology(1, 1, 1, 1, memory = "300G"),
        ["topologies[0].memory: 300G on the back end tcg; at most 256G"],
    ),
    "no topology": (
        refusal(topologies = []),
        ["topologies: is empty; at least one, such as topology(1, 2, 2, 1)"],
    ),
    "not a number": (
        _topology(1, "2", 1, 1),
        ["topologies[0].llcs: \"2\" is not a number of llcs; a whole number"],
    ),
    "not a topology": (
        refusal(topologies = ["1n1l1c1t"]),
        ["topologies[0]: \"1n1l1c1t\" is not a topology; such as topology(1, 2, 2, 1)"],
    ),
    "threads": (
        _topology(1, 1, 1, 4),
        ["topologies[0].threads_per_core: 4 threads a core: x86 has 1 or 2"],
    ),
    "too many CPUs": (
        _topology(1, 64, 64, 2),
        ["topologies[0]: 1n64l64c2t has 8192 CPUs: at most 256 under the real clock; no clock takes more"],
    ),
    "twice": (
        refusal(topologies = [presets.tiny_2llc, topology(1, 2, 2, 1, memory = "2G")]),
        ["topologies[1]: 1n2l2c1t stands there twice; cases would have equal names: put one of them into a target of its own"],
    ),
    "uneven LLCs": (
        _topology(2, 3, 4, 1),
        ["topologies[0].llcs: 3 LLCs do not divide among 2 NUMA nodes; 2 or 4 would do"],
    ),
    "zero": (
        _topology(1, 0, 4, 1),
        ["topologies[0].llcs: 0 is not a machine; at least 1"],
    ),
}

CHECKS = {
    "a bound of a switch": (
        _checks(isolation = "1s"),
        ["checks.isolation: \"1s\" is not a switch; True or False"],
    ),
    "a latency that is none": (
        _checks(max_wakeup_latency = "5ms"),
        ["checks.max_wakeup_latency: \"5ms\" is not a set of latencies; such as latency(p99 = \"5ms\")"],
    ),
    "a switch of a bound": (
        _checks(max_spread = True),
        ["checks.max_spread: True is not a bound; a bound, or False"],
    ),
    "duration": (
        _checks(max_gap = 5),
        ["checks.max_gap: `5` is not a duration, such as \"500us\", \"5ms\" or \"2s\""],
    ),
    "duration of a percentile": (
        _checks(max_wakeup_latency = latency(p99 = "1 ms")),
        ["checks.max_wakeup_latency.p99: `1 ms` is not a duration, such as \"500us\", \"5ms\" or \"2s\""],
    ),
    "negative spread": (
        _checks(max_spread = -0.5, weight_share = -1),
        [
            "checks.max_spread: -0.5 is out of range; 0 or more",
            "checks.weight_share: -1 is out of range; 0 or more",
        ],
    ),
    "no gap": (
        _checks(max_gap = "0ns"),
        ["checks.max_gap: 0ns is out of range; above 0"],
    ),
    "no latency": (
        _checks(max_wakeup_latency = latency()),
        ["checks.max_wakeup_latency: bounds nothing; at least one of " + _PERCENTILES],
    ),
    "no rate": (
        _checks(min_work_rate = 0),
        ["checks.min_work_rate: 0 is out of range; above 0 iterations per second"],
    ),
    "not checks": (
        refusal(checks = ["max_gap"]),
        ["checks: [\"max_gap\"] is not a set of checks; such as checks(max_gap = \"500ms\")"],
    ),
    "switched off": (
        _checks(max_gap = False, max_wakeup_latency = False, not_starved = False),
        [],
    ),
    "unknown": (
        _checks(max_gpa = "1s", throughput = 1),
        [
            "checks: unknown check `max_gpa`; did you mean `max_gap`?",
            "checks: unknown check `throughput`; there are: scheduler_alive, no_stall, no_error_log, not_starved, isolation, may_lack, max_gap, max_spread, weight_share, min_work_rate, max_wakeup_latency, work_conserving, max_imbalance, max_dsq_depth, max_fallback_rate, max_keep_last_rate, over_time",
        ],
    ),
    "unknown percentile": (
        _checks(max_wakeup_latency = latency(p90 = "1s")),
        ["checks.max_wakeup_latency: unknown percentile `p90`; did you mean `p50`?"],
    ),
}

OTHERS = {
    "a random seed": (refusal(seed = "random"), []),
    "back end": (
        refusal(backend = "qemu"),
        ["backend: unknown backend \"qemu\"; one of tcg, kvm"],
    ),
    "back end without the clock": (
        refusal(backend = "kvm", clock = "virtual"),
        ["clock: the back end kvm has no virtual clock; clock = \"real\" would do, or the back end tcg, which \"auto\" takes for it"],
    ),
    "CPUs of another back end": (
        refusal(backend = "kvm", topologies = [topology(1, 8, 32, 2)]) + refusal(topologies = [topology(1, 8, 32, 2)]),
        ["topologies[0]: 1n8l32c2t has 512 CPUs: at most 256 under the real clock; backend = \"kvm\" takes 512"],
    ),
    "clock": (
        refusal(clock = "reel"),
        ["clock: unknown clock \"reel\"; did you mean `real`?"],
    ),
    "start": (
        refusal(start = "snapshoot"),
        ["start: unknown start \"snapshoot\"; did you mean `snapshot`?"],
    ),
    "a trace": (refusal(trace = ["sched_switch"]), []),
    "kernel arguments": (
        refusal(kernel_args = ["quiet", "a b", ""]),
        [
            "kernel_args[1]: \"a b\" is not one argument of a kernel command line; one item for each argument",
            "kernel_args[2]: \"\" is not one argument of a kernel command line; one item for each argument",
        ],
    ),
    "negative seed": (
        refusal(seed = -1),
        ["seed: -1 is out of range; 0 or more, or \"random\""],
    ),
    "no seeds": (
        refusal(seeds = 0),
        ["seeds: 0 is out of range; 1 to 10000"],
    ),
    "placement": (
        refusal(backend = "kvm", pin_cpus = True, huge_pages = 1),
        ["huge_pages: 1 is neither True nor False"],
    ),
    "placement on the emulator": (
        refusal(backend = "tcg", huge_pages = True, pin_cpus = True),
        [
            "pin_cpus: the back end tcg does not place its machines: what is measured on it is mostly the emulator's doing; backend = \"kvm\", or leave it away",
            "huge_pages: the back end tcg does not place its machines: what is measured on it is mostly the emulator's doing; backend = \"kvm\", or leave it away",
        ],
    ),
    "placement where the back end is not known yet": (refusal(pin_cpus = True, huge_pages = True), []),
    "seed and seeds": (
        refusal(seed = 1, seeds = 2),
        ["seed: stands beside `seeds`; one of them"],
    ),
    "trace of what is none": (
        refusal(trace = ["sched_swich", "sched_switch", 1, "sched_switch"]),
        [
            "trace[0]: unknown tracepoint `sched_swich`; did you mean `sched_switch`?",
            "trace[2]: 1 is not the name of a tracepoint; such as \"sched_switch\"",
            "trace[3]: sched_switch stands there twice",
        ],
    ),
    "trace without a list": (
        refusal(trace = "sched_switch"),
        ["trace: \"sched_switch\" is not a list; such as [\"sched_switch\"]"],
    ),
}
