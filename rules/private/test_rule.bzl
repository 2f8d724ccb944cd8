"""The rule behind `ktstr_test`: declaration, files and what Bazel has to know about a test."""

load("//rules/private/validate:topologies.bzl", "clock_errors", "clock_of")
load(":kernel.bzl", "KtstrKernelInfo")
load(":resources.bzl", "resources")
load(":setting.bzl", "KtstrSettingInfo")
load(":toolchain.bzl", "EMULATOR_TOOLCHAIN", "RUNNER_TOOLCHAIN")

_SPEC_VERSION = 1
_LAUNCH_VERSION = 1

def _runfile(ctx, file):
    """Path of a file below the root of the runfiles."""
    path = file.short_path
    return path[3:] if path.startswith("../") else "{}/{}".format(ctx.workspace_name, path)

def _directories(ctx, files):
    """Directories of files below the root of the runfiles, each once."""
    return {_runfile(ctx, file).rpartition("/")[0]: True for file in files}.keys()

def _clocks(ctx, topologies, backend):
    asked = ctx.attr.clock or ctx.attr._clock[KtstrSettingInfo].value
    for i, topology in enumerate(topologies):
        errors = clock_errors(topology, asked, "topologies[{}]".format(i), backend)
        if errors:
            fail("{}: {}".format(ctx.label.name, errors[0]))
    return [clock_of(topology, asked, backend) for topology in topologies]

def _backend(ctx):
    asked = ctx.attr.backend or ctx.attr._backend[KtstrSettingInfo].value
    return ctx.attr.default_backend if asked == "auto" else asked

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

def _launch(ctx, spec, kernel, runner, emulator):
    """Where the runner finds what it runs."""
    libraries = _directories(ctx, emulator.libraries)
    return {
        "agent": _runfile(ctx, runner.agent),
        "emulator": {
            "binary": _runfile(ctx, emulator.binary),
            "data": _directories(ctx, emulator.firmware)[0],
            "libraries": libraries,
            "loader": _runfile(ctx, emulator.loader),
            # Without modules of its own the emulator must not look for the host's: any directory of the tree keeps it
            # from that.
            "modules": (_directories(ctx, emulator.modules) or libraries)[0],
        },
        "flags": _flags(ctx),
        "init": _runfile(ctx, runner.init),
        "kernel": _runfile(ctx, kernel.image),
        "spec": _runfile(ctx, spec),
        "version": _LAUNCH_VERSION,
    }

def _write_json(ctx, suffix, value):
    file = ctx.actions.declare_file(ctx.label.name + suffix)
    ctx.actions.write(file, json.encode_indent(value, indent = "  ") + "\n")
    return file

def _ktstr_test_impl(ctx):
    kernel = ctx.attr.kernel[KtstrKernelInfo]
    runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner
    emulator = ctx.toolchains[EMULATOR_TOOLCHAIN].ktstr_emulator
    declared = json.decode(ctx.attr.spec)
    backend = _backend(ctx)
    clocks = _clocks(ctx, declared["topologies"], backend)
    spec = _write_json(ctx, ".spec.json", dict(
        declared,
        backend = backend,
        clocks = clocks,
        version = _SPEC_VERSION,
    ))
    launch = _write_json(ctx, ".launch.json", _launch(ctx, spec, kernel, runner, emulator))
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(is_executable = True, output = executable, target_file = runner.runner)
    files = [launch, spec, kernel.image, runner.runner, runner.init, runner.agent, emulator.binary, emulator.loader]
    runfiles = ctx.runfiles(files + emulator.libraries + emulator.firmware + emulator.modules)
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
        "_backend": attr.label(default = "//rules:backend", providers = [KtstrSettingInfo]),
        "_clock": attr.label(default = "//rules:clock", providers = [KtstrSettingInfo]),
    },
    test = True,
    toolchains = [RUNNER_TOOLCHAIN, EMULATOR_TOOLCHAIN],
)
