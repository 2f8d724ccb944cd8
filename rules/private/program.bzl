"""The runner as a program for the command line: `bazel run @ktstr//:ktstr -- judge FILE`."""

load(":toolchain.bzl", "RUNNER_TOOLCHAIN")

def _ktstr_program_impl(ctx):
    runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(is_executable = True, output = executable, target_file = runner.runner)
    runfiles = ctx.runfiles([runner.runner, runner.init, runner.agent])
    return [DefaultInfo(executable = executable, files = depset([executable]), runfiles = runfiles)]

ktstr_program = rule(
    implementation = _ktstr_program_impl,
    doc = "A link to the runner of the toolchain. It reads paths as the shell that called Bazel does.",
    executable = True,
    toolchains = [RUNNER_TOOLCHAIN],
)
