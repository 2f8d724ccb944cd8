"""Every Starlark file of this repository, for the lints: a package that does not take part does not build."""

# Copied by users, so that nothing of this repository's own is in them.
_EXAMPLES = "examples/"

def starlark_sources():
    """The files of this package and of those below it, as the target `starlark_sources`."""
    below = [
        "{}/{}".format(native.package_name(), package) if native.package_name() else package
        for package in native.subpackages(allow_empty = True, include = ["**"])
    ]
    native.filegroup(
        name = "starlark_sources",
        srcs = native.glob(
            [
                "**/*.bzl",
                "BUILD.bazel",
                "MODULE.bazel",
            ],
            allow_empty = True,
        ) + [
            "//{}:{}".format(package, "BUILD.bazel" if package.startswith(_EXAMPLES) else "starlark_sources")
            for package in below
        ],
        visibility = ["//:__subpackages__"],
    )
