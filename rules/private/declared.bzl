"""What a test and its shell have in common: the declaration, and where the files are among the runfiles."""

load("//rules/private/model:topology.bzl", "without_none")
load("//rules/private/validate:topologies.bzl", "clock_errors", "clock_of")
load("//rules/private/validate:validate.bzl", "validate")
load(":kernel.bzl", "KtstrKernelInfo", "booted_image")
load(":scheduler.bzl", "KtstrSchedulerInfo")
load(":setting.bzl", "KtstrSettingInfo")
load(":snapshot_settings.bzl", "backend_of")
load(":toolchain.bzl", "emulator_description", "emulator_files")
load(":under_test.bzl", "declared_scheduler", "sampled_errors", "scheduler_description", "scheduler_files", "topologies_of", "under_test_errors")

_SPEC_VERSION = 1
_LAUNCH_VERSION = 2

def runfile(ctx, file):
    """Path of a file below the root of the runfiles."""
    path = file.short_path
    return path[3:] if path.startswith("../") else "{}/{}".format(ctx.workspace_name, path)

def machines_of(ctx, topologies):
    """What runs the machines, and what time follows on each of them.

    Args:
      ctx: of a rule with `DECLARED_ATTRS`
      topologies: of the declaration
    """
    asked = ctx.attr.clock or ctx.attr._clock[KtstrSettingInfo].value
    backend = backend_of(ctx.attr.backend, ctx.attr._backend[KtstrSettingInfo].value, ctx.attr.default_backend, asked)
    for i, topology in enumerate(topologies):
        errors = clock_errors(topology, asked, "topologies[{}]".format(i), backend)
        if errors:
            fail("{}: {}".format(ctx.label.name, errors[0]))
    return backend, [clock_of(topology, asked, backend) for topology in topologies]

def launch_scheduler(ctx):
    """Where the runner finds the scheduler under test, and what is known of the kernel; empty without a scheduler."""
    kernel = ctx.attr.kernel[KtstrKernelInfo]
    description = scheduler_description(ctx.attr.scheduler[KtstrSchedulerInfo], kernel.config, lambda file: runfile(ctx, file))
    return {"kernel_info": runfile(ctx, kernel.info), "scheduler": description} if description else {}

def files_of_scheduler(ctx):
    """The files of the scheduler under test, and what is known of the kernel: it may lack what the scheduler needs."""
    kernel = ctx.attr.kernel[KtstrKernelInfo]
    files = scheduler_files(ctx.attr.scheduler[KtstrSchedulerInfo], kernel.config)
    return files + [kernel.info] if files else []

def declared_by(ctx):
    """The declaration with what it inherits from the scheduler."""
    scheduler = ctx.attr.scheduler[KtstrSchedulerInfo]
    profiles = json.decode(ctx.attr.flags) if ctx.attr.flags else []
    declared = json.decode(ctx.attr.spec)
    errors = under_test_errors(scheduler, profiles) + sampled_errors(declared, scheduler)
    if "topologies" not in declared:
        # What could not be looked at before.
        declared["topologies"] = topologies_of(declared, scheduler)
        errors = errors + validate(declared)
    if errors:
        fail("\n" + "\n".join(["{}: {}".format(ctx.label.name, text) for text in errors]))
    return dict(declared, **without_none(scheduler = declared_scheduler(scheduler, profiles)))

def write_json(ctx, suffix, value):
    """A file beside the executable, with its name and a suffix."""
    file = ctx.actions.declare_file(ctx.label.name + suffix)
    ctx.actions.write(file, json.encode_indent(value, indent = "  ") + "\n")
    return file

def write_spec(ctx, declared, backend, clocks, start):
    """The declaration as the runner reads it."""
    return write_json(ctx, ".spec.json", dict(
        declared,
        backend = backend,
        clocks = clocks,
        start = start,
        version = _SPEC_VERSION,
    ))

def launch_of(ctx, spec, machines, runner, emulator, backend):
    """Where the runner finds what it runs.

    Args:
      ctx: of a rule with `DECLARED_ATTRS`
      spec: the file of the declaration
      machines: a dict: what machines begin with
      runner: a KtstrRunnerInfo
      emulator: a KtstrEmulatorInfo
      backend: what runs the machines

    Returns:
      a dict, and the files of the emulator, if it runs them
    """
    launch = {"agent": runfile(ctx, runner.agent), "spec": runfile(ctx, spec), "version": _LAUNCH_VERSION} | machines
    if backend != "tcg":
        return launch, []
    return launch | {"emulator": emulator_description(emulator, lambda file: runfile(ctx, file))}, emulator_files(emulator)

def boot_of(ctx, runner):
    """What machines begin with that boot: where the runner finds it, and the files."""
    kernel = booted_image(ctx.attr.kernel[KtstrKernelInfo], json.decode(ctx.attr.spec).get("kernel_args", []))
    boot = {"init": runfile(ctx, runner.init), "kernel": runfile(ctx, kernel)}
    return {"machines": {"boot": boot}}, [kernel, runner.init]

DECLARED_ATTRS = {
    "backend": attr.string(doc = "Insists on a back end."),
    "clock": attr.string(doc = "Insists on a clock."),
    "default_backend": attr.string(doc = "What `auto` means on the platform.", mandatory = True),
    "flags": attr.string(doc = "Flag profiles as JSON; empty if the test says nothing of them."),
    "kernel": attr.label(doc = "What is booted.", mandatory = True, providers = [KtstrKernelInfo]),
    "scheduler": attr.label(
        default = "//rules/private:no_scheduler",
        doc = "What is under test.",
        providers = [KtstrSchedulerInfo],
    ),
    "spec": attr.string(doc = "The declaration as JSON, but for back end, clocks and what comes from the scheduler.", mandatory = True),
    "_backend": attr.label(default = "//rules:backend", providers = [KtstrSettingInfo]),
    "_clock": attr.label(default = "//rules:clock", providers = [KtstrSettingInfo]),
}
