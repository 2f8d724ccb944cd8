"""`ktstr_preflight_test`: what the machine offers on which tests run."""

load(":toolchain.bzl", "RUNNER_TOOLCHAIN")

def _ktstr_preflight_test_impl(ctx):
    runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner.runner
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(is_executable = True, output = executable, target_file = runner)
    return [DefaultInfo(executable = executable, runfiles = ctx.runfiles([runner]))]

_ktstr_preflight_test = rule(
    implementation = _ktstr_preflight_test_impl,
    doc = "Made by `ktstr_preflight_test`.",
    test = True,
    toolchains = [RUNNER_TOOLCHAIN],
)

def ktstr_preflight_test(name, requires_kvm = False, tags = [], **kwargs):
    """A test that prints what the executor offers: KVM (genuine, software or absent), CPUs, memory, space, and which machines fit.

    It runs each time: its answer is about a machine, not about inputs.

    Args:
      name: of the target
      requires_kvm: whether an executor without genuine KVM is a failure of the infrastructure (exit status 3)
      tags: of the test
      **kwargs: what any test takes: exec_properties, visibility, …
    """
    _ktstr_preflight_test(
        name = name,
        size = kwargs.pop("size", "small"),
        args = ["preflight"] + (["--requires-kvm"] if requires_kvm else []),
        tags = tags + ["external"],
        **kwargs
    )
