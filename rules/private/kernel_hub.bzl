"""`@ktstr_kernels`: every kernel of the lock file by its name; a kernel is fetched when a test wants it.

`@ktstr_kernels//:kernels.bzl` has them as a list that BUILD files can go through.
"""

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

_LIST = """\
\"\"\"The kernels of `@ktstr_kernels`.\"\"\"

# Name of each kernel -> its release; the newest is the last.
KERNELS = {{
{entries}}}
"""

def _kernel_hub_impl(rctx):
    kernels = json.decode(rctx.read(rctx.attr.lock))["kernels"]
    rctx.file("BUILD.bazel", _HEAD.format(defs = Label("//rules:defs.bzl")) + "".join([
        _KERNEL.format(arch = kernel["arch"], name = name, repository = rctx.attr.prefix + name)
        for name, kernel in kernels.items()
    ]))
    rctx.file("kernels.bzl", _LIST.format(entries = "".join([
        "    \"{}\": \"{}\",\n".format(name, kernel["release"])
        for name, kernel in kernels.items()
    ])))

kernel_hub = repository_rule(
    implementation = _kernel_hub_impl,
    doc = "One package with a target for each kernel of a lock file, and a list of them.",
    attrs = {
        "lock": attr.label(doc = "The lock file.", mandatory = True),
        "prefix": attr.string(doc = "What the names of the kernels' own repositories begin with.", mandatory = True),
    },
)
