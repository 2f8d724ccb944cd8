"""The rule behind `<test>.shell`: the machine of a test, for a person or for one command."""

load(
    ":declared.bzl",
    "DECLARED_ATTRS",
    "boot_of",
    "declared_by",
    "files_of_scheduler",
    "launch_of",
    "launch_scheduler",
    "machines_of",
    "runfile",
    "write_json",
    "write_spec",
)
load(":kernel.bzl", "KtstrKernelInfo")
load(":toolchain.bzl", "EMULATOR_TOOLCHAIN", "RUNNER_TOOLCHAIN")

def _ktstr_shell_impl(ctx):
    runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner
    emulator = ctx.toolchains[EMULATOR_TOOLCHAIN].ktstr_emulator
    declared = declared_by(ctx)
    backend, clocks = machines_of(ctx, declared["topologies"])
    spec = write_spec(ctx, declared, backend, clocks, "boot")
    machines, files = boot_of(ctx, runner)
    info, tools = ctx.attr.kernel[KtstrKernelInfo].info, ctx.file._tools
    launch, emulator_files = launch_of(ctx, spec, machines, runner, emulator, backend)
    launch = write_json(ctx, ".launch.json", launch | launch_scheduler(ctx) | {
        "flags": [],
        "kernel_info": runfile(ctx, info),
        "tools": runfile(ctx, tools),
    })
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(is_executable = True, output = executable, target_file = runner.runner)
    files = files + files_of_scheduler(ctx) + emulator_files
    runfiles = ctx.runfiles([launch, spec, runner.runner, runner.agent, info, tools] + files)
    return [DefaultInfo(executable = executable, files = depset([executable, launch, spec]), runfiles = runfiles)]

_ktstr_shell = rule(
    implementation = _ktstr_shell_impl,
    doc = "Made by `ktstr_test`.",
    attrs = DECLARED_ATTRS | {
        "_tools": attr.label(allow_single_file = True, default = "//rules:guest_tools"),
    },
    executable = True,
    toolchains = [RUNNER_TOOLCHAIN, EMULATOR_TOOLCHAIN],
)

# What a test hands on to its shell, of what any target takes.
_HANDED_ON = ["compatible_with", "restricted_to", "target_compatible_with", "visibility"]

def ktstr_shell(name, of_test, **kwargs):
    """The shell of a test. Nothing builds it that does not name it.

    Args:
      name: of the target
      of_test: a dict: what the test takes besides its declaration
      **kwargs: the declaration, as the rule of the test takes it
    """
    handed_on = {key: value for key, value in of_test.items() if key in _HANDED_ON}
    _ktstr_shell(
        name = name,
        tags = ["manual"],
        testonly = True,
        **(kwargs | handed_on)
    )
