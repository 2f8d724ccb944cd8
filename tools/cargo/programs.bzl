"""Programs of the workspace."""

load(":cargo.bzl", "CARGO_ATTRS", "cargo")

def _cargo_programs_impl(ctx):
    collect = ["programs"] + ["{}={}".format(file.basename, file.path) for file in ctx.outputs.programs]
    packages = [argument for name in ctx.attr.packages for argument in ["--package", name]]
    cargo(ctx, ["build", "--release"] + packages, ctx.outputs.programs, collect)
    return [DefaultInfo(files = depset(ctx.outputs.programs))]

cargo_programs = rule(
    implementation = _cargo_programs_impl,
    doc = "Release builds of programs. Each is a target of its own.",
    attrs = CARGO_ATTRS | {
        "packages": attr.string_list(doc = "Packages that are built.", mandatory = True),
        "programs": attr.output_list(doc = "Programs by their names.", mandatory = True),
    },
)
