"""A declaration in which every constructor stands."""

load(
    "//rules:defs.bzl",
    "affinity",
    "cgroup",
    "cpu_max",
    "cpuset",
    "hold",
    "op",
    "policy",
    "presets",
    "step",
    "topology",
    "work",
    "workers",
)

TOPOLOGIES = [
    topology(2, 4, 4, 1, distances = [[10, 20], [20, 10]], memory = "2G"),
    presets.numa2_8llc,
]

SCENARIO = [
    step(
        cgroups = [
            cgroup(
                "a",
                affinity = affinity.inherit(),
                cpu_max = cpu_max("50ms"),
                cpuset = cpuset.range(0, 0.5),
                nice = -5,
                policy = policy.batch(),
                weight = 200,
                work = work.cpu_spin(),
                workers = 2,
                works = [
                    workers(1, work.yield_heavy(), affinity = affinity.single(1), policy = policy.idle()),
                    workers(2, work.pipe_ping_pong(), affinity = affinity.exact([0, 1]), policy = policy.fifo(1)),
                ],
            ),
            cgroup("b", parent = "a", work = work.futex_ping_pong(), workers = 2),
            cgroup("c", cpuset = cpuset.disjoint(0, 2)),
            cgroup("d", cpuset = cpuset.overlap(0, 2, 0.5)),
            cgroup("e", cpuset = cpuset.llc(0)),
            cgroup("f", cpuset = cpuset.numa(1)),
            cgroup("g", cpuset = cpuset.exact([0, 1])),
            cgroup("h", cpuset = cpuset.holdback(0.25), work = work.racy_counter(), workers = 2),
        ],
        hold = hold.seconds(0.5),
    ),
    step(
        hold = hold.loop(
            every = "10ms",
            ops = [op.cpu_offline([15]), op.cpu_online([15])],
            times = 3,
        ),
        ops = [
            op.add_cgroup(cgroup(
                "i",
                affinity = affinity.llc(),
                policy = policy.rr(98),
                work = work.bursty("1ms", "4ms"),
                workers = 1,
            )),
            op.spawn("c", [workers(1, work.cpu_spin(), nice = 19, policy = policy.other())]),
            op.set_cpuset("d", cpuset.llc(1)),
            op.clear_cpuset("e"),
            op.swap_cpusets("c", "f"),
            op.set_weight("g", 50),
            op.set_cpu_max("g", cpu_max("10ms", "20ms")),
            op.set_cpu_max("a", None),
            op.move_tasks("i", "h"),
            op.freeze("b"),
            op.thaw("b"),
            op.stop("h"),
            op.remove_cgroup("a"),
        ],
    ),
    step(hold = hold.seconds(1), ops = [
        op.scheduler_restart(),
        op.scheduler_replace(["--llc"]),
        op.scheduler_command(["--switch", "drop=0"]),
        op.scheduler_stop(),
        op.scheduler_start(),
        op.read_map("bss", expect = 7, field = "victim"),
        op.read_map("counts", key = 8, of_all = "max"),
        op.write_map("counts", -1, field = "inner.deep[1]", key = 8),
        op.read_kernel("runqueues", cpu = 1, expect = 0, field = "curr->pid"),
        op.write_kernel("jiffies_64", 18446744073709551615, of_type = "u64"),
        op.fault("power_off"),
    ]),
]
