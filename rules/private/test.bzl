"""`ktstr_test`."""

load("//rules/private/model:topology.bzl", "without_none")
load("//rules/private/validate:validate.bzl", "validate")
load(":planned_time.bzl", "planned_time")
load(":shell.bzl", "ktstr_shell")
load(":test_rule.bzl", "ktstr_internal_test")

def ktstr_test(
        name,
        kernel,
        scenario,
        topologies = None,
        scheduler = None,
        flags = None,
        checks = None,
        expect_failure = None,
        may_skip = False,
        seeds = None,
        seed = None,
        kernel_args = [],
        strict_filter = False,
        trace = [],
        monitor = None,
        backend = None,
        clock = None,
        start = None,
        pin_cpus = False,
        huge_pages = False,
        size = None,
        timeout = None,
        shard_count = None,
        **kwargs):
    """A test that runs one kernel per case; its cases are topologies × flag profiles × seeds.

    A case is named `name[topology][profile][seed]`, without the profile if `flags` says nothing.

    What cannot be is refused when the BUILD file is loaded, with the path to the field.

    `bazel run <name>.shell` boots the machine of the test with a shell on the terminal; behind `--`, `--exec CMD` runs one command, and
    `--help` tells the rest. The target is manual.

    Resources: each test tells Bazel how many host CPUs its largest case keeps busy (1 under the virtual clock; under the
    real clock one for each CPU of the machine, at most 4, or all with `pin_cpus`) and how much memory it takes (that of the machine and 512
    MiB). A tag `cpu:N` or `resources:memory:MB` of the test's own says otherwise. Remote executors have no common words for
    this: name theirs in `exec_properties`.

    Args:
      name: of the target, and the first part of each case's name
      kernel: what is booted, such as `"@ktstr_kernels//:linux_7_3"`
      scenario: steps, one after another: `step(…)`; at least one
      topologies: machines: `topology(…)` or `presets.…`; at least one. By default that of the scheduler
      scheduler: a `ktstr_scheduler` to run under; by default the kernel's own
      flags: flag profiles of the scheduler, each a list of its flags and each with cases of its own: `[[], ["llc"], ["llc", "steal"]]`
      checks: bounds: `checks(…)`; they win over those of the scheduler
      expect_failure: the failure that makes a case pass, and without which it fails: `expect_failure(…)`
      may_skip: whether it is all right that the kernel lacks what the scheduler needs, so that every case is skipped; by default that is red
      seeds: number of seeds, 1 to 10000: each is a case. Not together with `seed`
      seed: one seed, or `"random"`: `bazel test --runs_per_test` gives another each time. By default 0
      kernel_args: added to the kernel's command line, one item for each argument; with `kaslr` the bzImage boots as it is, and moves the kernel
      strict_filter: whether a `--test_filter` that matches no case is an error
      trace: tracepoints that the guest's kernel records while the scenario runs; `"sched_switch"`: every context switch, which
        `ktstr trace` prints. By default none: watching takes time of the CPUs that are watched
      monitor: what the host samples of the guest's kernel while a case runs: `monitor(…)`, or `False`: nothing. By default it looks at the CPUs
        every 10 ms of guest time and at all tasks every 100 ms. The guest does nothing for it
      backend: insists on `"tcg"` or `"kvm"`; by default, or if it is `"auto"`, what `--@ktstr//rules:backend` says, which is kvm on a
        platform with KVM unless the clock is to be virtual, and otherwise tcg
      clock: insists on `"virtual"` or `"real"`; by default what `--@ktstr//rules:clock` says, which on tcg is virtual up to 32
        CPUs and real above, and on kvm real
      start: `"boot"`: each case boots the kernel; `"attach"`: each case starts from a machine that booted once for all cases
        and tests with the same kernel, topology, kernel_args, back end and clock, and that is made and cached like any other output, and attaches
        its scheduler; `"snapshot"`: it starts from such a machine in which the scheduler is attached, if there is one. By
        default a snapshot on tcg, a boot on kvm
      pin_cpus: whether each CPU of the machine has a CPU of the host for itself, on KVM. A host with fewer CPUs is refused before the start, as
        infrastructure
      huge_pages: whether the machine's memory is huge pages of the host's pool (`vm.nr_hugepages`), on KVM. A pool with too few is refused
        before the start, as infrastructure
      size: as of any test; by default medium
      timeout: as of any test; by default that of the size, and without a size the shortest from moderate on that seems
        enough
      shard_count: as of any test; a case stays in its shard when others are added
      **kwargs: what any test takes: tags, flaky, visibility, exec_properties, target_compatible_with, …
    """
    backend = None if backend == "auto" else backend
    spec = without_none(
        name = name,
        topologies = topologies,
        scenario = scenario,
        checks = checks,
        expect_failure = expect_failure,
        may_skip = may_skip or None,
        pin_cpus = pin_cpus or None,
        seeds = seeds,
        seed = seed,
        huge_pages = huge_pages or None,
        kernel_args = kernel_args or None,
        monitor = monitor,
        strict_filter = strict_filter or None,
        trace = trace or None,
    )
    errors = validate(dict(spec, **without_none(backend = backend, clock = clock, flags = flags, scheduler = scheduler, start = start)))
    _refuse(name, errors)
    planned = planned_time(dict(spec, **without_none(flags = flags, scheduler = scheduler)), size, timeout, shard_count, start)
    _refuse(name, planned.errors)
    declared = dict(
        backend = backend,
        clock = clock,
        default_backend = select({
            Label("//rules/platforms:has_kvm"): "kvm",
            "//conditions:default": "tcg",
        }),
        flags = json.encode(flags) if flags else "",
        kernel = kernel,
        scheduler = scheduler,
        spec = json.encode(spec),
    )
    ktstr_internal_test(
        name = name,
        shard_count = shard_count,
        size = planned.size,
        start = start,
        timeout = planned.timeout,
        **(declared | kwargs)
    )
    ktstr_shell(name = name + ".shell", of_test = kwargs, **declared)

def _refuse(name, errors):
    if errors:
        fail("\n" + "\n".join(["{}: {}".format(name, text) for text in errors]))
