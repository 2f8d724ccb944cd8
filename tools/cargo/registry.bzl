"""Programs that are crates of the registry, not our own."""

load(":cargo.bzl", "CARGO_ATTRS", "cargo_all")

def _cargo_registry_programs_impl(ctx):
    libraries = ctx.actions.declare_directory(ctx.label.name + ".libraries")
    programs = ctx.outputs.programs
    packages = [argument for file in programs for argument in ["--package", file.basename]]
    collect = ["dynamic", libraries.path] + ["{}={}".format(file.basename, file.path) for file in programs]
    cargo_all(ctx, ["build", "--release"] + packages, programs + [libraries], collect)
    return [
        DefaultInfo(files = depset(programs)),
        OutputGroupInfo(libraries = depset([libraries])),
    ]

cargo_registry_programs = rule(
    implementation = _cargo_registry_programs_impl,
    doc = "Release builds of crates that a manifest only depends on; what they have in common is compiled once. They may be dynamic: " +
          "the output group `libraries` is a directory with the loader and all libraries that any of them needs.",
    attrs = CARGO_ATTRS | {
        "programs": attr.output_list(doc = "Programs by their names, which are those of their crates, too.", mandatory = True),
    },
)
