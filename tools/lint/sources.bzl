"""Every Starlark file and every script of this repository, for the lints: a package that does not take part does not build."""

# Copied by users, so that nothing of this repository's own is in them.
_EXAMPLES = "examples/"

# Their other files, by package.
_EXAMPLES_BZL = {"examples/quickstart": ["scenarios.bzl"]}

def starlark_sources(name, folders = None, scripts = []):
    """The Starlark files of this package and of those below it, and in the same way the scripts, as `scripts`.

    Args:
      name: `starlark_sources`, by which the package above finds it
      folders: where to look below this package; by default everywhere. The root has to name them: beside them are
        Bazel's own links, into which a pattern would walk for minutes, and repositories of their own
      scripts: scripts whose names do not say so
    """
    anywhere = [folder + "/**" for folder in folders] if folders else ["**"]
    below = [
        "{}/{}".format(native.package_name(), package) if native.package_name() else package
        for package in native.subpackages(allow_empty = True, include = anywhere)
    ]
    native.filegroup(
        name = name,
        srcs = native.glob(
            [place + "/*.bzl" for place in anywhere] + [
                "BUILD.bazel",
                "MODULE.bazel",
            ],
            allow_empty = True,
        ) + [
            "//{}:{}".format(package, file)
            for package in below
            for file in (["BUILD.bazel"] + _EXAMPLES_BZL.get(package, []) if package.startswith(_EXAMPLES) else [name])
        ],
        visibility = ["//:__subpackages__"],
    )
    native.filegroup(
        name = "scripts",
        srcs = native.glob(
            ["{}/*.{}".format(place, extension) for place in anywhere for extension in ["py", "sh"]],
            allow_empty = True,
        ) + scripts + [
            "//{}:scripts".format(package)
            for package in below
            if not package.startswith(_EXAMPLES)
        ],
        visibility = ["//:__subpackages__"],
    )
