"""`@ktstr_kernels`: every kernel of the lock file by its name; a kernel is fetched when a test wants it."""

_HEAD = """\
load("{defs}", "ktstr_prebuilt_kernel")

package(default_visibility = ["//visibility:public"])
"""

_KERNEL = """
ktstr_prebuilt_kernel(
    name = "{name}",
    arch = "{arch}",
    config = "@{repository}//:config",
    image = "@{repository}//:image",
)
"""

def _kernel_hub_impl(rctx):
    kernels = json.decode(rctx.read(rctx.attr.lock))["kernels"]
    rctx.file("BUILD.bazel", _HEAD.format(defs = Label("//rules:defs.bzl")) + "".join([
        _KERNEL.format(arch = kernel["arch"], name = name, repository = rctx.attr.prefix + name)
        for name, kernel in kernels.items()
    ]))

kernel_hub = repository_rule(
    implementation = _kernel_hub_impl,
    doc = "One package with a target for each kernel of a lock file.",
    attrs = {
        "lock": attr.label(doc = "The lock file.", mandatory = True),
        "prefix": attr.string(doc = "What the names of the kernels' own repositories begin with.", mandatory = True),
    },
)
