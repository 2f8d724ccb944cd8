"""Test programs of the workspace."""

load(":cargo.bzl", "CARGO_ATTRS", "cargo")

def _cargo_tests_impl(ctx):
    base = ctx.label.package + "/" + ctx.label.name + "/"
    named = [(file, file.short_path[file.short_path.index(base) + len(base):]) for file in ctx.outputs.tests]
    collect = ["tests"] + ["{}={}".format(name, file.path) for file, name in named]
    command = ["test", "--no-run", "--workspace"]
    if ctx.attr.measures:
        cargo(ctx, command + ["--release"], ctx.outputs.tests, collect, flags = ["--test", ctx.attr.measures])
    else:
        cargo(ctx, command, ctx.outputs.tests, collect)
    return [DefaultInfo(files = depset(ctx.outputs.tests))]

cargo_tests = rule(
    implementation = _cargo_tests_impl,
    doc = "All test programs: `<rule>/<crate's folder>/<target>`, where `unit` stands for the library. " +
          "The build fails if there are others than those that are listed.",
    attrs = CARGO_ATTRS | {
        "measures": attr.string(doc = "Only the targets of this name, optimized as programs are."),
        "tests": attr.output_list(doc = "All of them.", mandatory = True),
    },
)
