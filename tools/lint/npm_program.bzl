"""A program out of a package of npm, as a repository."""

load(":registry.bzl", "missing_program", "said_by", "watched_which")

_VARIABLE = "KTSTR_NPM_REGISTRY"

def _registry(rctx):
    named = rctx.getenv(_VARIABLE)
    if named:
        return named.rstrip("/")
    npm = watched_which(rctx, "npm")
    return said_by(rctx, [npm, "config", "get", "registry"]) if npm else None

def _npm_program_impl(rctx):
    registry = _registry(rctx)
    if registry:
        package = rctx.attr.package
        rctx.download_and_extract(
            url = "{}/{}/-/{}-{}.tgz".format(registry, package, package.split("/")[-1], rctx.attr.version),
            integrity = rctx.attr.integrity,
            stripPrefix = "package",
        )
        rctx.symlink(rctx.attr.program, "program")
    else:
        missing_program(rctx, "npm", _VARIABLE)
    rctx.file("BUILD.bazel", 'exports_files(["program"], visibility = ["//visibility:public"])\n')

npm_program = repository_rule(
    implementation = _npm_program_impl,
    doc = "A file of a package, from the registry that `KTSTR_NPM_REGISTRY` names or else npm uses.",
    attrs = {
        "integrity": attr.string(doc = "Of the package, as npm prints it.", mandatory = True),
        "package": attr.string(doc = "With its scope.", mandatory = True),
        "program": attr.string(doc = "Path in the package.", mandatory = True),
        "version": attr.string(mandatory = True),
    },
    environ = [_VARIABLE],
)
