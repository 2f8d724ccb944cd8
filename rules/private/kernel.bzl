"""Kernels that tests boot."""

load(":snapshot_settings.bzl", "without_snapshot")
load(":toolchain.bzl", "RUNNER_TOOLCHAIN")

KtstrKernelInfo = provider(
    doc = "A kernel that machines boot directly.",
    fields = {
        "arch": "As in Bazel's platforms: `x86_64`.",
        "config": "File: its .config, or None.",
        "image": "File: an ELF image with a PVH entry, unpacked.",
        "info": "File: what the runner found out about it, as JSON.",
        "packed": "File: what `image` was unpacked from.",
    },
)

# As the runner knows it: `KASLR` in //vmm/src/command_line.rs.
_KASLR = "kaslr"

def booted_image(kernel, kernel_args):
    """What boots.

    Args:
      kernel: a KtstrKernelInfo
      kernel_args: arguments of the kernel; with `kaslr` it moves itself, and only what it was unpacked from does that

    Returns:
      a file
    """
    return kernel.packed if _KASLR in kernel_args else kernel.image

def _ktstr_prebuilt_kernel_impl(ctx):
    image = ctx.actions.declare_file(ctx.label.name + ".vmlinux")
    info = ctx.actions.declare_file(ctx.label.name + ".json")
    arguments = ctx.actions.args()
    arguments.add("kernel")
    arguments.add("--image", ctx.file.image)
    if ctx.file.config:
        arguments.add("--config", ctx.file.config)
    arguments.add("--output", image)
    arguments.add("--info", info)
    ctx.actions.run(
        executable = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner.runner,
        arguments = [arguments],
        inputs = [ctx.file.image] + ([ctx.file.config] if ctx.file.config else []),
        mnemonic = "KtstrKernel",
        outputs = [image, info],
        progress_message = "Unpacking kernel %{label}",
        toolchain = RUNNER_TOOLCHAIN,
    )
    return [
        DefaultInfo(files = depset([image])),
        # For a virtual machine that unpacks it by itself.
        OutputGroupInfo(packed = depset([ctx.file.image])),
        KtstrKernelInfo(arch = ctx.attr.arch, config = ctx.file.config, image = image, info = info, packed = ctx.file.image),
    ]

ktstr_prebuilt_kernel = rule(
    implementation = _ktstr_prebuilt_kernel_impl,
    doc = "A kernel as a distribution or a build gives it, unpacked and checked once for all tests that boot it.",
    attrs = {
        "arch": attr.string(default = "x86_64", doc = "What it is for.", values = ["x86_64"]),
        "config": attr.label(
            allow_single_file = True,
            doc = "Its .config: that it has the options that tests need is checked before anything boots.",
        ),
        "image": attr.label(
            allow_single_file = True,
            doc = "A bzImage, or an ELF vmlinux with a PVH entry.",
            mandatory = True,
        ),
    },
    cfg = without_snapshot,
    provides = [KtstrKernelInfo],
    toolchains = [RUNNER_TOOLCHAIN],
)
