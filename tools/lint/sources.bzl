"""Every Starlark file and every script of this repository, for the lints: a package that does not take part does not build."""

# Copied by users, so that nothing of this repository's own is in them.
_EXAMPLES = "examples/"

def starlark_sources(name):
    """The Starlark files of this package and of those below it, and in the same way the scripts, as `scripts`.

    Args:
      name: `starlark_sources`, by which the package above finds it
    """
    below = [
        "{}/{}".format(native.package_name(), package) if native.package_name() else package
        for package in native.subpackages(
            allow_empty = True,
            # Links that Bazel makes into its own directories, and repositories of their own (.bazelignore).
            exclude = [
                "bazel-*/**",
                "e2e/**",
            ],
            include = ["**"],
        )
    ]
    native.filegroup(
        name = name,
        srcs = native.glob(
            [
                "**/*.bzl",
                "BUILD.bazel",
                "MODULE.bazel",
            ],
            allow_empty = True,
        ) + [
            "//{}:{}".format(package, "BUILD.bazel" if package.startswith(_EXAMPLES) else name)
            for package in below
        ],
        visibility = ["//:__subpackages__"],
    )
    native.filegroup(
        name = "scripts",
        srcs = native.glob(
            [
                "**/*.py",
                "**/*.sh",
                # Programs by their names.
                ".ci/run",
                "bazelw",
                "tools/lock/refresh",
            ],
            allow_empty = True,
        ) + [
            "//{}:scripts".format(package)
            for package in below
            if not package.startswith(_EXAMPLES)
        ],
        visibility = ["//:__subpackages__"],
    )
