"""A program out of a package of npm, as a repository."""

_VARIABLE = "KTSTR_NPM_REGISTRY"

def _npm_program_impl(rctx):
    registry = rctx.getenv(_VARIABLE)
    if not registry:
        # Not an error here: only the test that needs it is to fail.
        rctx.file("program", "#!/bin/sh\necho '{} is not set: install npm and use ./bazelw, or name a registry with --repo_env={}=<URL>'\nexit 1\n".format(_VARIABLE, _VARIABLE))
    else:
        package = rctx.attr.package
        rctx.download_and_extract(
            url = "{}/{}/-/{}-{}.tgz".format(registry, package, package.split("/")[-1], rctx.attr.version),
            integrity = rctx.attr.integrity,
            stripPrefix = "package",
        )
        rctx.symlink(rctx.attr.program, "program")
    rctx.file("BUILD.bazel", 'exports_files(["program"], visibility = ["//visibility:public"])\n')

npm_program = repository_rule(
    implementation = _npm_program_impl,
    doc = "A file of a package, from the registry that the machine is configured for.",
    attrs = {
        "integrity": attr.string(doc = "Of the package, as npm prints it.", mandatory = True),
        "package": attr.string(doc = "With its scope.", mandatory = True),
        "program": attr.string(doc = "Path in the package.", mandatory = True),
        "version": attr.string(mandatory = True),
    },
    environ = [_VARIABLE],
)
