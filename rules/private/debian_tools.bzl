"""The tools of a shell in the guest, one static program out of a distribution's package, as a repository."""

load(":debian.bzl", "MIRROR_VARIABLE", "fetch_packages")

_BUILD = """\
filegroup(name = "busybox", srcs = ["{binary}"], visibility = ["//visibility:public"])
"""

def _debian_tools_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr.lock))
    fetch_packages(rctx, lock["packages"], "tools")
    rctx.file("BUILD.bazel", _BUILD.format(binary = lock["binary"]))

debian_tools = repository_rule(
    implementation = _debian_tools_impl,
    doc = "The busybox of a lock file.",
    attrs = {"lock": attr.label(doc = "The lock file.", mandatory = True)},
    environ = [MIRROR_VARIABLE],
)
