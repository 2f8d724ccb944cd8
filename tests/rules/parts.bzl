"""Units, names, times and presets."""

load("//rules:defs.bzl", "cgroup", "hold", "presets", "step", "work", "workers")
load("//rules/private:planned_time.bzl", "planned_time")  # buildifier: disable=bzl-visibility
load("//rules/private:resources.bzl", "resources")  # buildifier: disable=bzl-visibility
load("//rules/private/validate:report.bzl", "distance", "nearest")  # buildifier: disable=bzl-visibility
load("//rules/private/validate:topologies.bzl", "clock_of", "cpus_of", "label_of", "memory_of")  # buildifier: disable=bzl-visibility
load("//rules/private/validate:units.bzl", "mebibytes", "nanoseconds")  # buildifier: disable=bzl-visibility
load(":refusals.bzl", "refusal")

UNITS = {
    "durations": (
        [nanoseconds(text) for text in ["250ns", "10us", "5ms", "2s", "1m", "s", "1.5s", "-1s", "5 ms", ""]],
        [250, 10000, 5000000, 2000000000, None, None, None, None, None, None],
    ),
    "nearest": ([nearest(name, ["max_gap", "max_spread"]) for name in ["max_gpa", "x"]], ["max_gap", None]),
    "neighbours exchanged": ([distance("max_gpa", "max_gap"), distance("", "abc"), distance("ab", "ba")], [1, 3, 1]),
    "sizes": ([mebibytes(text) for text in ["512M", "2G", "1T", 512]], [512, 2048, None, None]),
}

_SPIN = workers(1, work.cpu_spin())

CONSTRUCTORS = {
    "a cgroup with nothing": (cgroup("a"), {"name": "a"}),
    "one group and more": (
        cgroup("a", work = work.yield_heavy(), workers = 2, works = [_SPIN])["works"],
        [{"work": "yield_heavy", "workers": 2}, {"work": "cpu_spin", "workers": 1}],
    ),
}

_NAMES = [name for name in dir(presets) if type(getattr(presets, name)) == "dict"]

PRESETS = {
    "clocks": (
        [clock_of(presets.tiny_1llc, "auto"), clock_of(presets.medium_8llc, "auto"), clock_of(presets.tiny_1llc, "real")],
        ["virtual", "real", "real"],
    ),
    "labels": (
        [label_of(presets.odd_7llc), label_of(presets.smt_2llc), label_of(presets.numa4_12llc)],
        ["1n7l2c1t", "1n2l2c2t", "4n12l8c2t"],
    ),
    "memory": ([memory_of(presets.tiny_1llc), memory_of(presets.max_cpu)], [1024, 1024 + 16 * 244]),
    "they can all be": (refusal(topologies = [getattr(presets, name) for name in _NAMES]), []),
    "twins are as large": (
        [name for name in _NAMES if cpus_of(getattr(presets, name)) != cpus_of(getattr(presets, name.removesuffix("_nosmt")))],
        [],
    ),
}

def _planned(holds, seeds = None, size = None, timeout = None, shards = None, start = None):
    scenario = [step(hold = hold) for hold in holds]
    spec = {"scenario": scenario, "seeds": seeds, "topologies": [presets.tiny_1llc]}
    planned = planned_time(spec, size, timeout, shards, start)
    return (planned.size, planned.timeout, planned.errors)

TIMES = {
    "a loop": (_planned([hold.loop([], "500ms", 1000)]), ("medium", "eternal", [])),
    "an hour and more": (
        _planned([hold.seconds(1800)], seeds = 3),
        (
            "medium",
            "eternal",
            [
                "timeout: eternal is 3600 seconds, a shard with 3 cases of 1800 guest seconds is at least 5400; " +
                "shard_count = 2 with timeout = \"eternal\", shorter holds would do",
            ],
        ),
    ),
    "boots": (_planned([hold.seconds(1)], seeds = 30, start = "boot"), ("medium", "long", [])),
    "does not fit": (
        _planned([hold.seconds(40), hold.seconds(0.5)], seeds = 2, timeout = "short"),
        (
            "medium",
            "short",
            [
                "timeout: short is 60 seconds, a shard with 2 cases of 40.5 guest seconds is at least 81; " +
                "timeout = \"moderate\", shorter holds would do",
            ],
        ),
    ),
    "fits in shards": (_planned([hold.seconds(40)], seeds = 2, shards = 2, size = "small"), ("small", None, [])),
    "longer by itself": (_planned([hold.seconds(60)], seeds = 2), ("medium", "long", [])),
    "many from a snapshot": (_planned([hold.seconds(1)], seeds = 30), ("medium", "moderate", [])),
    "short": (_planned([hold.seconds(1)]), ("medium", "moderate", [])),
}

_MACHINES = [presets.tiny_2llc, presets.max_cpu]

RESOURCES = {
    "own tags": (resources(["cpu:2", "manual"], [presets.tiny_2llc], ["real"]), {"resources:memory:1536": ""}),
    "pinned": (resources([], _MACHINES, ["real", "real"], pinned = True), {"cpu:252": "", "resources:memory:5440": ""}),
    "real": (resources([], _MACHINES, ["virtual", "real"]), {"cpu:4": "", "resources:memory:5440": ""}),
    "virtual": (resources([], [presets.tiny_2llc], ["virtual"]), {"cpu:1": "", "resources:memory:1536": ""}),
}
