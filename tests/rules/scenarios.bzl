"""Refusals inside the scenario."""

load(
    "//rules:defs.bzl",
    "affinity",
    "cgroup",
    "cpu_max",
    "cpuset",
    "hold",
    "op",
    "policy",
    "step",
    "topology",
    "work",
    "workers",
)
load(":refusals.bzl", "refusal", "refusal_of_cgroup", "refusal_of_ops")

_CGROUP = "scenario[0].cgroups[0]"
_WORKS = _CGROUP + ".works[0]"
_OP = "scenario[0].ops[0]"

def _cpuset(cpuset):
    return refusal_of_cgroup(cpuset = cpuset)

def _spin(**fields):
    return refusal_of_cgroup(**({"work": work.cpu_spin(), "workers": 1} | fields))

def _hold(hold):
    return refusal(scenario = [step(hold = hold)])

CPUSETS = {
    "CPU": (
        _cpuset(cpuset.exact([0, 9])),
        [_CGROUP + ".cpuset: CPU 9 is not on 1n2l2c1t; its CPUs are 0 to 3"],
    ),
    "empty": (_cpuset(cpuset.exact([])), [_CGROUP + ".cpuset: names no CPU; at least one"]),
    "fraction": (
        _cpuset(cpuset.overlap(0, 2, 1.5)),
        [_CGROUP + ".cpuset: overlap(0, of 2, fraction 1.5) is out of range; a fraction is 0 to 1"],
    ),
    "holdback": (
        _cpuset(cpuset.holdback(1)),
        [_CGROUP + ".cpuset: holdback(1) is out of range; 0 or more, below 1"],
    ),
    "index": (
        _cpuset(cpuset.disjoint(2, 2)),
        [_CGROUP + ".cpuset: disjoint(2, of 2): index must be below 2"],
    ),
    "llc": (_cpuset(cpuset.llc(2)), [_CGROUP + ".cpuset: llc(2): 1n2l2c1t has no such index; below 2"]),
    "more parts than CPUs": (
        _cpuset(cpuset.disjoint(0, 9)),
        [_CGROUP + ".cpuset: holds no CPU on 1n2l2c1t, which has 4; a larger part, or a topology with more CPUs"],
    ),
    "no parts": (
        _cpuset(cpuset.overlap(0, 0, 0.5)),
        [_CGROUP + ".cpuset: overlap(0, of 0, fraction 0.5): 0 parts; at least 1"],
    ),
    "not a cpuset": (
        _cpuset("0-3"),
        [_CGROUP + ".cpuset: \"0-3\" is not a cpuset; such as cpuset.disjoint(0, 2)"],
    ),
    "numa": (_cpuset(cpuset.numa(1)), [_CGROUP + ".cpuset: numa(1): 1n2l2c1t has no such index; below 1"]),
    "on the smallest topology": (
        refusal(
            scenario = [step(
                cgroups = [cgroup("a", cpuset = cpuset.exact([3]))],
                hold = hold.seconds(1),
            )],
            topologies = [topology(1, 2, 2, 1), topology(1, 1, 2, 1)],
        ),
        [_CGROUP + ".cpuset: CPU 3 is not on 1n1l2c1t; its CPUs are 0 to 1"],
    ),
    "range": (
        _cpuset(cpuset.range(0.5, 0.25)),
        [_CGROUP + ".cpuset: range(0.5, 0.25) is out of range; 0 <= from < to <= 1"],
    ),
    "range without a CPU": (
        _cpuset(cpuset.range(0, 0.1)),
        [_CGROUP + ".cpuset: holds no CPU on 1n2l2c1t, which has 4; a larger part, or a topology with more CPUs"],
    ),
}

WORKERS = {
    "affinity": (
        _spin(affinity = affinity.single(4)),
        [_WORKS + ".affinity: CPU 4 is not on 1n2l2c1t; its CPUs are 0 to 3"],
    ),
    "bursts": (
        _spin(work = work.bursty("0ms", "5")),
        [
            _WORKS + ".work.bursty.burst: 0ms is out of range; 1ns to 3600s",
            _WORKS + ".work.bursty.sleep: `5` is not a duration, such as \"500us\", \"5ms\" or \"2s\"",
        ],
    ),
    "more than there can be": (
        _spin(workers = 5000),
        [_WORKS + ".workers: 5000 workers in the whole test; at most 4096"],
    ),
    "nice": (_spin(nice = 20), [_WORKS + ".nice: 20 is out of range; -20 to 19"]),
    "no work": (_spin(work = None), [_WORKS + ".work: None is not work; such as work.cpu_spin()"]),
    "none": (_spin(workers = 0), [_WORKS + ".workers: 0 is out of range; at least 1"]),
    "not an affinity": (
        _spin(affinity = 0),
        [_WORKS + ".affinity: 0 is not an affinity; such as affinity.single(0)"],
    ),
    "not counted": (_spin(workers = None), [_WORKS + ".workers: None is out of range; at least 1"]),
    "odd pairs": (
        _spin(work = work.pipe_ping_pong(), workers = 3),
        [_WORKS + ".workers: 3 workers for pipe_ping_pong, which works in groups of 2; 2 or 4 would do"],
    ),
    "one of a pair": (
        _spin(work = work.futex_ping_pong()),
        [_WORKS + ".workers: 1 workers for futex_ping_pong, which works in groups of 2; 2 would do"],
    ),
    "policy": (_spin(policy = "fair"), [_WORKS + ".policy: \"fair\" is not a policy; such as policy.fifo(1)"]),
    "priority": (_spin(policy = policy.fifo(99)), [_WORKS + ".policy: 99 is out of range; a priority is 1 to 98"]),
}

CGROUPS = {
    "limit": (
        refusal_of_cgroup(cpu_max = cpu_max("10us", "2s")),
        [
            _CGROUP + ".cpu_max.period: 2s is out of range; 1ms to 1s",
            _CGROUP + ".cpu_max.quota: 10us is out of range; at least 1ms",
        ],
    ),
    "name": (
        refusal_of_cgroup(name = "a/b"),
        [_CGROUP + ".name: \"a/b\" is not a name of a cgroup; letters, digits, _ and -"],
    ),
    "not a limit": (
        refusal_of_cgroup(cpu_max = "10ms"),
        [_CGROUP + ".cpu_max: \"10ms\" is not a limit of CPU time; such as cpu_max(\"50ms\", \"100ms\")"],
    ),
    "parent": (
        refusal_of_cgroup(parent = "b"),
        [_CGROUP + ".parent: no cgroup `b` is there at this point; there are: "],
    ),
    "there already": (
        refusal(scenario = [step(cgroups = [cgroup("a"), cgroup("a")], hold = hold.seconds(1))]),
        ["scenario[0].cgroups[1].name: a cgroup `a` is there already; another name, or remove_cgroup before"],
    ),
    "weight": (
        refusal_of_cgroup(weight = 0),
        [_CGROUP + ".weight: 0 is out of range; cpu.weight is 1 to 10000"],
    ),
}

STEPS = {
    "a long hold": (
        _hold(hold.seconds(3601)),
        ["scenario[0].hold.seconds: 3601 is out of range; above 0, at most 3600 seconds"],
    ),
    "a loop too often": (
        _hold(hold.loop([], "0s", 1001)),
        [
            "scenario[0].hold.loop.times: 1001 is out of range; 1 to 1000",
            "scenario[0].hold.loop.every: 0s is out of range; 1ns to 3600s",
        ],
    ),
    "a loop with a cgroup twice": (
        _hold(hold.loop([op.add_cgroup(cgroup("a"))], "1ms", 3)),
        ["scenario[0].hold.loop.ops[0].add_cgroup.name: a cgroup `a` is there already; another name, or remove_cgroup before"],
    ),
    "no hold": (
        _hold(hold.seconds(0)),
        ["scenario[0].hold.seconds: 0 is out of range; above 0, at most 3600 seconds"],
    ),
    "no scenario": (refusal(scenario = []), ["scenario: is empty; at least one step"]),
    "not a hold": (_hold(1), ["scenario[0].hold: 1 is not a hold; such as hold.seconds(1)"]),
    "not a list": (
        refusal(scenario = [step(cgroups = cgroup("a"), hold = hold.seconds(1))]),
        ["scenario[0].cgroups: {\"name\": \"a\"} is not a list"],
    ),
    "not a step": (
        refusal(scenario = [cgroup("a")]),
        ["scenario[0]: {\"name\": \"a\"} is not a step; such as step(hold = hold.seconds(1))"],
    ),
    "thousands of holds": (
        refusal(scenario = [step(hold = hold.loop([], "1ms", 1000))] * 5),
        ["scenario[4].hold: more than 4096 holds in the whole test; fewer times in a loop"],
    ),
}

def _on_scheduler(*ops):
    """As `refusal_of_ops`, of a declaration with a scheduler."""
    return refusal(
        scenario = [step(hold = hold.seconds(1), ops = list(ops))],
        scheduler = ":scx_mine",
    )

_STOPPED = "{}.scheduler: the scheduler is stopped at this point; start before, or instead"

SCHEDULER_OPS = {
    "all of them": (
        _on_scheduler(
            op.scheduler_restart(),
            op.scheduler_replace(["--slice-us", "500"]),
            op.scheduler_command(["--switch", "drop=1"]),
            op.scheduler_stop(),
            op.scheduler_start(),
        ),
        [],
    ),
    "an argument": (
        _on_scheduler(op.scheduler_replace(["-s", 20]), op.scheduler_command("-s")),
        [
            _OP + ".scheduler.replace.args[1]: 20 is not an argument; text without a zero byte",
            "scenario[0].ops[1].scheduler.command.args: \"-s\" is not a list",
        ],
    ),
    "in a loop": (
        refusal(
            scenario = [step(hold = hold.loop([op.scheduler_stop()], "100ms", 3))],
            scheduler = ":scx_mine",
        ),
        [_STOPPED.format("scenario[0].hold.loop.ops[0]")],
    ),
    "misspelt": (
        _on_scheduler({"scheduler": "kill"}),
        [_OP + ".scheduler: \"kill\" is not an op on the scheduler; such as op.scheduler_restart()"],
    ),
    "started twice": (
        _on_scheduler(op.scheduler_start()),
        [_OP + ".scheduler: the scheduler is there at this point; stop before, or restart"],
    ),
    "stopped": (
        _on_scheduler(
            op.scheduler_stop(),
            op.scheduler_stop(),
            op.scheduler_restart(),
            op.scheduler_replace([]),
            op.scheduler_command([]),
        ),
        [_STOPPED.format("scenario[0].ops[{}]".format(i)) for i in range(1, 5)],
    ),
    "there is none": (
        refusal_of_ops(op.scheduler_stop()),
        [_OP + ".scheduler: there is no scheduler under test; a scheduler for the test"],
    ),
    "what they say": (
        [op.scheduler_stop(), op.scheduler_start(), op.scheduler_restart(), op.scheduler_replace(["-x"]), op.scheduler_command(["-y"])],
        [
            {"scheduler": "stop"},
            {"scheduler": "start"},
            {"scheduler": "restart"},
            {"scheduler": {"replace": {"args": ["-x"]}}},
            {"scheduler": {"command": {"args": ["-y"]}}},
        ],
    ),
}

OPS = {
    "CPU 0": (
        refusal_of_ops(op.cpu_offline([0])),
        [_OP + ".cpu_offline: CPU 0 cannot go off line on x86; CPUs from 1 on"],
    ),
    "fault": (
        refusal_of_ops(op.fault("crash")),
        [_OP + ".fault: \"crash\" is out of range; one of panic, hang, reboot, power_off, escape, litter"],
    ),
    "limit": (
        refusal_of_ops(op.set_cpu_max("beta", None), op.set_cpu_max("alpha", cpu_max("1us"))),
        ["scenario[0].ops[1].set_cpu_max.cpu_max.quota: 1us is out of range; at least 1ms"],
    ),
    "misspelt": (
        refusal_of_ops(op.freeze("alhpa")),
        [_OP + ": no cgroup `alhpa` is there at this point; did you mean `alpha`?"],
    ),
    "not an op": (refusal_of_ops("freeze"), [_OP + ": \"freeze\" is not an op; such as op.freeze(\"a\")"]),
    "nowhere": (
        refusal_of_ops(
            op.move_tasks("alpha", "x"),
            op.set_cpuset("x", cpuset.llc(5)),
            op.set_weight("x", 0),
            op.spawn("x", [workers(1, work.pipe_ping_pong())]),
            op.swap_cpusets("x", "beta"),
        ),
        [
            _OP + ".move_tasks.to: no cgroup `x` is there at this point; there are: alpha, beta",
            "scenario[0].ops[1].set_cpuset.cgroup: no cgroup `x` is there at this point; there are: alpha, beta",
            "scenario[0].ops[2].set_weight.cgroup: no cgroup `x` is there at this point; there are: alpha, beta",
            "scenario[0].ops[2].set_weight.weight: 0 is out of range; cpu.weight is 1 to 10000",
            "scenario[0].ops[3].spawn.cgroup: no cgroup `x` is there at this point; there are: alpha, beta",
            "scenario[0].ops[3].spawn.works[0].workers: 1 workers for pipe_ping_pong, which works in groups of 2; 2 would do",
            "scenario[0].ops[4].swap_cpusets.a: no cgroup `x` is there at this point; there are: alpha, beta",
            "scenario[0].ops[1].set_cpuset.cpuset: llc(5): 1n2l2c1t has no such index; below 2",
        ],
    ),
    "removed with its parent": (
        refusal_of_ops(op.remove_cgroup("alpha"), op.stop("beta")),
        ["scenario[0].ops[1]: no cgroup `beta` is there at this point; there are: "],
    ),
}

_UNSEEN = "the host has to look at the kernel for this, and monitor is False; leave monitor away"

HOST_OPS = {
    "CPU": (refusal_of_ops(op.read_kernel("runqueues", cpu = 4)), [_OP + ".read_kernel.cpu: CPU 4 is not on 1n2l2c1t; its CPUs are 0 to 3"]),
    "can be": (
        refusal_of_ops(
            op.read_map("m", expect = -1, field = "a[1]", key = 8, of_all = "sum"),
            op.write_map("bss", 18446744073709551615, field = "a"),
            op.read_kernel("runqueues", cpu = 3, field = "curr->pid"),
            op.write_kernel("scx_root", 0, field = "->x", of_type = "struct scx_sched *"),
        ),
        [],
    ),
    "fields": (
        refusal_of_ops(
            op.read_map("", expect = "7", field = 1, key = -1, of_all = "mean"),
            op.write_map("rodata", 1, field = "x"),
            op.write_kernel(None, 1),
            {"write_map": {"map": "m", "vale": 1}},
        ),
        [
            _OP + ".read_map.map: \"\" is not a name",
            _OP + ".read_map.field: 1 is not a name",
            _OP + ".read_map.expect: \"7\" is not a number; a whole number of at most 64 bits",
            _OP + ".read_map.key: -1 is not a key; a whole number of at most 64 bits",
            _OP + ".read_map.of_all: unknown choice `mean`; did you mean `min`?",
            "scenario[0].ops[1].write_map.map: rodata is only read: the kernel's verifier has taken its values for constants; a variable that is not `const`",
            "scenario[0].ops[2].write_kernel: {\"value\": 1} is not an op of the host; such as op.write_kernel(\"…\")",
            "scenario[0].ops[3].write_map: unknown field `vale`; did you mean `value`?",
            "scenario[0].ops[3].write_map.value: is not there",
        ],
    ),
    "nobody looks": (
        refusal(monitor = False, scenario = [step(hold = hold.seconds(1), ops = [op.read_map("bss", field = "x")])]),
        [_OP + ".read_map: " + _UNSEEN],
    ),
}
