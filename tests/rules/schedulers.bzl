"""Refusals of schedulers, of their flags, and of expected failures."""

load("//rules:defs.bzl", "checks", "expect_failure", "series", "topology")
load("//rules/private/validate:flags.bzl", "closure", "profile_errors", "profile_name")  # buildifier: disable=bzl-visibility
load("//rules/private/validate:scheduler.bzl", "scheduler_errors")  # buildifier: disable=bzl-visibility
load(":refusals.bzl", "refusal")

_FLAGS = {"llc": ["--llc"], "numa": ["--numa"], "steal": ["--steal"]}

def _scheduler(**fields):
    """Everything that is wrong with a scheduler that would be right without these fields."""
    right = {
        "args": [],
        "attach_timeout": None,
        "binary": ":scx_x",
        "checks": None,
        "conflicts": {},
        "files": {},
        "flags": _FLAGS,
        "kernel_features": [],
        "name": "scx_x",
        "requires": {},
        "series": None,
        "topology": None,
    }
    return scheduler_errors(right | fields)

def _profile(*profile, requires = {}, conflicts = {}):
    return profile_errors("flags[0]", list(profile), _FLAGS, requires, conflicts)

SCHEDULERS = {
    "arguments": (
        _scheduler(args = "--llc"),
        ["args: \"--llc\" is not a list of arguments; such as [\"--slice-us\", \"500\"]"],
    ),
    "attach_timeout": (
        _scheduler(attach_timeout = "2h") + _scheduler(attach_timeout = "0s"),
        [
            "attach_timeout: `2h` is not a duration, such as \"500us\", \"5ms\" or \"2s\"",
            "attach_timeout: 0s is out of range; above 0, at most 3600 seconds",
        ],
    ),
    "binary": (
        _scheduler(binary = "/usr/bin/scx_x") + _scheduler(binary = "//x:scx_x"),
        ["binary: \"/usr/bin/scx_x\" is a path of this machine; a file below this package, or a label"],
    ),
    "can be": (
        _scheduler(
            args = ["-v"],
            attach_timeout = "60s",
            checks = checks(max_gap = "1s", no_error_log = False),
            conflicts = {"numa": ["llc"]},
            files = {"/etc/layers.json": ":layers.json"},
            kernel_features = ["CONFIG_EXT_GROUP_SCHED", "scx_bpf_dsq_peek", "sched_ext_ops.cgroup_set_bandwidth"],
            requires = {"steal": ["llc"]},
            series = [series("nr_queued", map = "bss")],
            topology = topology(1, 2, 2, 1),
        ),
        [],
    ),
    "checks": (
        _scheduler(checks = checks(no_stal = True)),
        ["checks: unknown check `no_stal`; did you mean `no_stall`?"],
    ),
    "features": (
        _scheduler(kernel_features = ["6.12+", "a.b.c"]),
        [
            "kernel_features[{}]: {} is not a feature; CONFIG_X, a kfunc, a type, a constant SCX_X, or a member such as sched_ext_ops.cgroup_set_bandwidth".format(i, text)
            for i, text in enumerate(["\"6.12+\"", "\"a.b.c\""])
        ],
    ),
    "files": (
        _scheduler(files = {"/a/../b": ":x", "etc/x": ":x"}),
        [
            "files: \"/a/../b\" is not the absolute path of a file in the guest",
            "files: \"etc/x\" is not the absolute path of a file in the guest",
        ],
    ),
    "name": (
        _scheduler(name = "a/b"),
        ["name: \"a/b\" is not a name; 1 to 64 letters, digits, `.`, `_`, `-`, `+`; not a dot first"],
    ),
    "series": (
        _scheduler(series = [series("", map = "bss")]),
        ["series[0].name: \"\" is no name; letters, digits, `_`"],
    ),
    "topology": (
        _scheduler(topology = topology(2, 3, 1, 1)),
        ["topology.llcs: 3 LLCs do not divide among 2 NUMA nodes; 2 or 4 would do"],
    ),
}

FLAGS = {
    "a contradiction": (
        _scheduler(requires = {"steal": ["llc", "numa"]}, conflicts = {"numa": ["llc"]}),
        ["flags.steal: can never be: it requires `numa` and `llc`, which conflict"],
    ),
    "a cycle": (
        _scheduler(requires = {"llc": ["numa"], "numa": ["steal"], "steal": ["llc"]}),
        ["requires.llc: a cycle: `llc` requires `numa` requires `steal` requires `llc`"],
    ),
    "a flag that does not require itself": (
        _scheduler(requires = {"llc": ["llc"]}),
        ["requires.llc: is the flag itself"],
    ),
    "a way into a cycle": (
        _scheduler(requires = {"llc": ["numa"], "numa": ["steal"], "steal": ["numa"]}),
        ["requires.numa: a cycle: `numa` requires `steal` requires `numa`"],
    ),
    "arguments": (
        _scheduler(flags = {"a": "--a"}),
        ["flags.a: \"--a\" is not a list of arguments; such as [\"--llc\"]"],
    ),
    "conflicts with what it requires": (
        _scheduler(requires = {"steal": ["llc"]}, conflicts = {"llc": ["steal"]}),
        ["flags.steal: can never be: it requires `llc`, with which it conflicts"],
    ),
    "name": (
        _scheduler(flags = {"a+b": []}),
        ["flags: \"a+b\" is not a name; letters, digits, `_`, `-`"],
    ),
    "unknown": (
        _scheduler(requires = {"stel": ["llc"]}, conflicts = {"llc": ["nuna"]}),
        [
            "requires: unknown flag `stel`; did you mean `steal`?",
            "conflicts.llc: unknown flag `nuna`; did you mean `numa`?",
        ],
    ),
}

PROFILES = {
    "a conflict": (
        _profile("numa", "llc", conflicts = {"numa": ["llc"]}),
        ["flags[0]: `numa` conflicts with `llc`; two profiles would do"],
    ),
    "a requirement": (
        _profile("steal", requires = {"llc": ["numa"], "steal": ["llc"]}),
        ["flags[0]: `steal` requires `llc`; llc+numa+steal would do"],
    ),
    "can be": (_profile("llc", "steal", requires = {"steal": ["llc"]}), []),
    "closure": (sorted(closure(["steal"], {"llc": ["numa"], "steal": ["llc"]})), ["llc", "numa", "steal"]),
    "lists": (
        refusal(flags = ["llc"], scheduler = ":x") + refusal(flags = [], scheduler = ":x"),
        [
            "flags[0]: \"llc\" is not a flag profile; a list of profiles, each a list of flags, such as [[], [\"llc\"]]",
            "flags: [] is not a list of profiles; a list of profiles, each a list of flags, such as [[], [\"llc\"]]",
        ],
    ),
    "names": ([profile_name(profile) for profile in [[], ["llc"], ["llc", "steal"]]], ["default", "llc", "llc+steal"]),
    "no scheduler": (refusal(flags = [[]]), ["flags: there is no scheduler whose flags they could be"]),
    "twice": (
        refusal(flags = [["a", "b"], ["b", "a"], ["c", "c"]], scheduler = ":x"),
        ["flags[1]: b+a stands there twice", "flags[2]: has a flag twice"],
    ),
    "two schedulers": (
        refusal(scheduler = [":a", ":b"]),
        ["scheduler: 2 schedulers: the kernel takes one at a time; a test for each"],
    ),
    "unknown": (_profile("stal"), ["flags[0]: unknown flag `stal`; did you mean `steal`?"]),
}

def _expects(*args, **fields):
    return refusal(expect_failure = expect_failure(*args, **fields))

EXPECTED = {
    "a text": (
        refusal(expect_failure = "stall"),
        ["expect_failure: \"stall\" is not a failure; such as expect_failure(\"stall\")"],
    ),
    "can be": (_expects("verifier", message = "unbounded", phase = "verify"), []),
    "cause": (_expects("stahl"), ["expect_failure.cause: unknown cause `stahl`; did you mean `stall`?"]),
    "message": (_expects("exit", message = ""), ["expect_failure.message: \"\" is not a text; leave it out for any message"]),
    "phase": (_expects("exit", phase = "runs"), ["expect_failure.phase: unknown phase `runs`; did you mean `run`?"]),
}
