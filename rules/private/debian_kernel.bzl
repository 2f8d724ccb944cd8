"""A kernel out of a distribution's packages, as a repository."""

load(":debian.bzl", "MIRROR_VARIABLE", "fetch_packages")

_BUILD = """\
filegroup(name = "image", srcs = ["{image}"], visibility = ["//visibility:public"])

filegroup(name = "config", srcs = ["{config}"], visibility = ["//visibility:public"])
"""

def _debian_kernel_impl(rctx):
    fetch_packages(rctx, json.decode(rctx.attr.packages), "kernels")
    release = rctx.attr.release

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
        # Not the lock file itself: a change of another kernel is no reason to fetch this one again.
        "packages": attr.string(doc = "Its packages as the lock file has them, as JSON.", mandatory = True),
        "release": attr.string(doc = "What it calls itself.", mandatory = True),
    },
    environ = [MIRROR_VARIABLE],
)
