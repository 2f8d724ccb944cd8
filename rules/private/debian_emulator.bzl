"""The emulator with its own dynamic linker and libraries, out of a distribution's packages, as a repository."""

load(":debian.bzl", "MIRROR_VARIABLE", "fetch_packages")

_BUILD = """\
package(default_visibility = ["//visibility:public"])

filegroup(name = "binary", srcs = ["{binary}"])

filegroup(name = "loader", srcs = ["{loader}"])

filegroup(name = "libraries", srcs = {libraries})

filegroup(name = "firmware", srcs = {firmware})
"""

def _debian_emulator_impl(rctx):
    lock = json.decode(rctx.read(rctx.attr.lock))
    fetch_packages(rctx, lock["packages"], "emulator")
    firmware = []
    for path in lock["firmware"]:
        name = "firmware/" + path.split("/")[-1]
        rctx.symlink(path, name)
        firmware.append(name)
    rctx.file("BUILD.bazel", _BUILD.format(
        binary = lock["binary"],
        firmware = firmware,
        libraries = lock["libraries"] + lock["modules"],
        loader = lock["loader"],
    ))

debian_emulator = repository_rule(
    implementation = _debian_emulator_impl,
    doc = "Just the files that the emulator of a lock file needs to run.",
    attrs = {"lock": attr.label(doc = "The lock file.", mandatory = True)},
    environ = [MIRROR_VARIABLE],
)
