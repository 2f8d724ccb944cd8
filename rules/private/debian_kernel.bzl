"""A kernel out of a distribution's packages, as a repository."""

load(":debian.bzl", "MIRROR_VARIABLE", "fetch_packages")

_BUILD = """\
filegroup(name = "image", srcs = ["{image}"], visibility = ["//visibility:public"])

filegroup(name = "config", srcs = ["{config}"], visibility = ["//visibility:public"])
"""

def _debian_kernel_impl(rctx):
    kernel = json.decode(rctx.read(rctx.attr.lock))["kernels"][rctx.attr.kernel]
    fetch_packages(rctx, kernel["packages"], "kernels")
    release = kernel["release"]

    # From 7.2 on the files are with the modules, before in /boot.
    image = "usr/lib/modules/{}/vmlinuz".format(release)
    config = "usr/lib/modules/{}/config".format(release)
    if not rctx.path(image).exists:
        image = "boot/vmlinuz-" + release
        config = "boot/config-" + release
    rctx.file("BUILD.bazel", _BUILD.format(image = image, config = config))

debian_kernel = repository_rule(
    implementation = _debian_kernel_impl,
    doc = "Image and configuration of one kernel of a lock file.",
    attrs = {
        "kernel": attr.string(doc = "Name of the kernel in the lock file.", mandatory = True),
        "lock": attr.label(doc = "The lock file.", mandatory = True),
    },
    environ = [MIRROR_VARIABLE],
)
