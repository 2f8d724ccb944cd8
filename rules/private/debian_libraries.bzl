"""Shared libraries of a distribution, for schedulers that are linked against them, as a repository."""

load(":debian.bzl", "MIRROR_VARIABLE", "fetch_packages")

_BUILD = """\
filegroup(name = "libraries", srcs = {libraries}, visibility = ["//visibility:public"])
"""

def _debian_libraries_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr.lock))
    fetch_packages(rctx, lock["packages"], "libraries")
    rctx.file("BUILD.bazel", _BUILD.format(libraries = lock["libraries"]))

debian_libraries = repository_rule(
    implementation = _debian_libraries_impl,
    doc = "The libraries of a lock file, and the dynamic loader.",
    attrs = {"lock": attr.label(doc = "The lock file.", mandatory = True)},
    environ = [MIRROR_VARIABLE],
)
