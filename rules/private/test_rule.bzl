"""The rule behind `ktstr_test`: declaration, files and what Bazel has to know about a test."""

load("//rules/private/model:topology.bzl", "without_none")
load("//rules/private/validate:flags.bzl", "profile_name")
load("//rules/private/validate:topologies.bzl", "clock_errors", "clock_of", "label_of")
load("//rules/private/validate:validate.bzl", "validate")
load(":kernel.bzl", "KtstrKernelInfo")
load(":resources.bzl", "resources")
load(":scheduler.bzl", "KtstrSchedulerInfo")
load(":setting.bzl", "KtstrSettingInfo")
load(":snapshot_settings.bzl", "INHERITED", "attached_snapshots", "backend_of", "snapshots", "start_errors", "start_of")
load(":toolchain.bzl", "EMULATOR_TOOLCHAIN", "RUNNER_TOOLCHAIN", "emulator_description", "emulator_files")
load(":under_test.bzl", "declared_scheduler", "scheduler_description", "scheduler_files", "topologies_of", "under_test_errors")

_SPEC_VERSION = 1
_LAUNCH_VERSION = 2

def _runfile(ctx, file):
    """Path of a file below the root of the runfiles."""
    path = file.short_path
    return path[3:] if path.startswith("../") else "{}/{}".format(ctx.workspace_name, path)

def _clocks(ctx, topologies, backend):
    asked = ctx.attr.clock or ctx.attr._clock[KtstrSettingInfo].value
    for i, topology in enumerate(topologies):
        errors = clock_errors(topology, asked, "topologies[{}]".format(i), backend)
        if errors:
            fail("{}: {}".format(ctx.label.name, errors[0]))
    return [clock_of(topology, asked, backend) for topology in topologies]

def _flags(ctx):
    """Settings of the command line that had a say here, for the command that runs a case again."""
    settings = {
        "backend": None if ctx.attr.backend else ctx.attr._backend[KtstrSettingInfo].value,
        "clock": None if ctx.attr.clock else ctx.attr._clock[KtstrSettingInfo].value,
    }
    return [
        "--@ktstr//rules:{}={}".format(name, value)
        for name, value in settings.items()
        if value and value != "auto"
    ]

def _machines(ctx, start, runner):
    """What machines begin with: where the runner finds it, and the files."""
    if start == "boot":
        kernel = ctx.attr.kernel[KtstrKernelInfo].image
        boot = {"init": _runfile(ctx, runner.init), "kernel": _runfile(ctx, kernel)}
        return {"machines": {"boot": boot}}, [kernel, runner.init]
    booted = {_label(ctx, label): _file(target) for label, target in ctx.split_attr._snapshot.items()}
    attached = {}
    for key, target in ctx.split_attr._attached.items():
        if key != "none":
            label, _, index = key.rpartition("/")
            attached.setdefault(_label(ctx, label), {})[_profile_names(ctx)[int(index)]] = _file(target)
    return {
        "attached": {label: {name: _runfile(ctx, file) for name, file in files.items()} for label, files in attached.items()},
        "machines": {"snapshots": {label: _runfile(ctx, file) for label, file in booted.items()}},
    }, booted.values() + [file for files in attached.values() for file in files.values()]

def _file(target):
    return target[DefaultInfo].files.to_list()[0]

def _label(ctx, label):
    return label_of(ctx.attr.scheduler[KtstrSchedulerInfo].topology) if label == INHERITED else label

def _profile_names(ctx):
    return [profile_name(profile) for profile in json.decode(ctx.attr.flags)] if ctx.attr.flags else [""]

def _launch(ctx, spec, machines, runner, emulator):
    """Where the runner finds what it runs."""
    return {
        "agent": _runfile(ctx, runner.agent),
        "emulator": emulator_description(emulator, lambda file: _runfile(ctx, file)),
        "flags": _flags(ctx),
        "spec": _runfile(ctx, spec),
        "version": _LAUNCH_VERSION,
    } | machines | _launch_scheduler(ctx)

def _launch_scheduler(ctx):
    kernel = ctx.attr.kernel[KtstrKernelInfo]
    description = scheduler_description(ctx.attr.scheduler[KtstrSchedulerInfo], kernel.config, lambda file: _runfile(ctx, file))
    return {"kernel_info": _runfile(ctx, kernel.info), "scheduler": description} if description else {}

def _files_of_scheduler(ctx):
    kernel = ctx.attr.kernel[KtstrKernelInfo]
    files = scheduler_files(ctx.attr.scheduler[KtstrSchedulerInfo], kernel.config)
    return files + [kernel.info] if files else []

def _declared(ctx):
    """The declaration with what it inherits from the scheduler."""
    scheduler = ctx.attr.scheduler[KtstrSchedulerInfo]
    profiles = json.decode(ctx.attr.flags) if ctx.attr.flags else []
    declared = json.decode(ctx.attr.spec)
    errors = under_test_errors(scheduler, profiles)
    if "topologies" not in declared:
        # What could not be looked at before.
        declared["topologies"] = topologies_of(declared, scheduler)
        errors = errors + validate(declared)
    if errors:
        fail("\n" + "\n".join(["{}: {}".format(ctx.label.name, text) for text in errors]))
    return dict(declared, **without_none(scheduler = declared_scheduler(scheduler, profiles)))

def _write_json(ctx, suffix, value):
    file = ctx.actions.declare_file(ctx.label.name + suffix)
    ctx.actions.write(file, json.encode_indent(value, indent = "  ") + "\n")
    return file

def _ktstr_test_impl(ctx):
    runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner
    emulator = ctx.toolchains[EMULATOR_TOOLCHAIN].ktstr_emulator
    declared = _declared(ctx)
    backend = backend_of(ctx.attr.backend, ctx.attr._backend[KtstrSettingInfo].value, ctx.attr.default_backend)
    for text in start_errors(ctx.attr.start, backend):
        fail("{}: {}".format(ctx.label.name, text))
    start = start_of(ctx.attr.start, backend)
    clocks = _clocks(ctx, declared["topologies"], backend)
    spec = _write_json(ctx, ".spec.json", dict(
        declared,
        backend = backend,
        clocks = clocks,
        start = start,
        version = _SPEC_VERSION,
    ))
    machines, files = _machines(ctx, start, runner)
    launch = _write_json(ctx, ".launch.json", _launch(ctx, spec, machines, runner, emulator))
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(is_executable = True, output = executable, target_file = runner.runner)
    runfiles = ctx.runfiles([launch, spec, runner.runner, runner.agent] + files + _files_of_scheduler(ctx) + emulator_files(emulator))
    return [
        DefaultInfo(executable = executable, files = depset([executable, launch, spec]), runfiles = runfiles),
        OutputGroupInfo(spec = depset([spec])),
        testing.ExecutionInfo(resources(ctx.attr.tags, declared["topologies"], clocks)),
    ]

ktstr_internal_test = rule(
    implementation = _ktstr_test_impl,
    doc = "Made by `ktstr_test`.",
    attrs = {
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
        "start": attr.string(doc = "Insists on where cases start.", values = ["", "boot", "attach", "snapshot"]),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
        "_attached": attr.label(cfg = attached_snapshots, default = "//rules/private:attached"),
        "_backend": attr.label(default = "//rules:backend", providers = [KtstrSettingInfo]),
        "_clock": attr.label(default = "//rules:clock", providers = [KtstrSettingInfo]),
        "_snapshot": attr.label(cfg = snapshots, default = "//rules/private:snapshot"),
    },
    test = True,
    toolchains = [RUNNER_TOOLCHAIN, EMULATOR_TOOLCHAIN],
)
