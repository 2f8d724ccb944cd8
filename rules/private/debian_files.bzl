"""Files out of a distribution's packages, as a repository with one target."""

load(":debian.bzl", "MIRROR_VARIABLE", "fetch_packages")

_BUILD = """\
filegroup(name = "{target}", srcs = {files}, visibility = ["//visibility:public"])
"""

def _debian_files_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr.lock))
    fetch_packages(rctx, lock["packages"], rctx.attr.refresh)
    rctx.file("BUILD.bazel", _BUILD.format(files = lock["files"], target = rctx.attr.target))

debian_files = repository_rule(
    implementation = _debian_files_impl,
    doc = "The files that a lock file names.",
    attrs = {
        "lock": attr.label(doc = "The lock file.", mandatory = True),
        "refresh": attr.string(doc = "What tools/lock/refresh calls it.", mandatory = True),
        "target": attr.string(doc = "Name of the target.", mandatory = True),
    },
    environ = [MIRROR_VARIABLE],
)
