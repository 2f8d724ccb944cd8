"""Programs of the workspace."""

load(":cargo.bzl", "CARGO_ATTRS", "cargo", "workspace_path")

def _cargo_programs_impl(ctx):
    collect = ["programs"] + ["{}={}".format(file.basename, file.path) for file in ctx.outputs.programs]
    packages = [argument for name in ctx.attr.packages for argument in ["--package", name]]
    command = ["build", "--release"] + packages
    if ctx.attr.crate_features:
        command += ["--features", ",".join(ctx.attr.crate_features)]
    if ctx.file.config:
        command += ["--config", workspace_path(ctx.file.config)]

    # Nothing is linked: flags of a configuration may ask for what only the real programs bring.
    cargo(ctx, command, ctx.outputs.programs, collect, flags_of_dependencies = ["--lib"] if ctx.file.config else [])
    return [DefaultInfo(files = depset(ctx.outputs.programs))]

cargo_programs = rule(
    implementation = _cargo_programs_impl,
    doc = "Release builds of programs. Each is a target of its own.",
    attrs = CARGO_ATTRS | {
        "config": attr.label(doc = "A further configuration of cargo, one of `manifests`.", allow_single_file = True),
        "crate_features": attr.string_list(doc = "Features of the packages."),
        "packages": attr.string_list(doc = "Packages that are built.", mandatory = True),
        "programs": attr.output_list(doc = "Programs by their names.", mandatory = True),
    },
)
