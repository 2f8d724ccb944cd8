"""The rule behind `ktstr_test`: declaration, files and what Bazel has to know about a test."""

load("//rules/private/validate:topologies.bzl", "clock_errors", "clock_of")
load(":kernel.bzl", "KtstrKernelInfo")
load(":resources.bzl", "resources")
load(":setting.bzl", "KtstrSettingInfo")
load(":snapshot_settings.bzl", "backend_of", "snapshots", "start_errors", "start_of")
load(":toolchain.bzl", "EMULATOR_TOOLCHAIN", "RUNNER_TOOLCHAIN", "emulator_description", "emulator_files")

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
        return {"boot": boot}, [kernel, runner.init]
    files = {label: target[DefaultInfo].files.to_list()[0] for label, target in ctx.split_attr._snapshot.items()}
    return {"snapshots": {label: _runfile(ctx, file) for label, file in files.items()}}, files.values()

def _launch(ctx, spec, machines, runner, emulator):
    """Where the runner finds what it runs."""
    return {
        "agent": _runfile(ctx, runner.agent),
        "emulator": emulator_description(emulator, lambda file: _runfile(ctx, file)),
        "flags": _flags(ctx),
        "machines": machines,
        "spec": _runfile(ctx, spec),
        "version": _LAUNCH_VERSION,
    }

def _write_json(ctx, suffix, value):
    file = ctx.actions.declare_file(ctx.label.name + suffix)
    ctx.actions.write(file, json.encode_indent(value, indent = "  ") + "\n")
    return file

def _ktstr_test_impl(ctx):
    runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner
    emulator = ctx.toolchains[EMULATOR_TOOLCHAIN].ktstr_emulator
    declared = json.decode(ctx.attr.spec)
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
    runfiles = ctx.runfiles([launch, spec, runner.runner, runner.agent] + files + emulator_files(emulator))
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
        "kernel": attr.label(doc = "What is booted.", mandatory = True, providers = [KtstrKernelInfo]),
        "spec": attr.string(doc = "The declaration as JSON, but for back end and clocks.", mandatory = True),
        "start": attr.string(doc = "Insists on where cases start.", values = ["", "boot", "snapshot"]),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
        "_backend": attr.label(default = "//rules:backend", providers = [KtstrSettingInfo]),
        "_clock": attr.label(default = "//rules:clock", providers = [KtstrSettingInfo]),
        "_snapshot": attr.label(cfg = snapshots, default = "//rules/private:snapshot"),
    },
    test = True,
    toolchains = [RUNNER_TOOLCHAIN, EMULATOR_TOOLCHAIN],
)
