"""A test program of the workspace as a Bazel test."""

def _cargo_test_impl(ctx):
    launcher = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.expand_template(
        is_executable = True,
        output = launcher,
        substitutions = {"%program%": ctx.file.program.short_path},
        template = ctx.file.launcher,
    )
    runfiles = ctx.runfiles(files = [ctx.file.program] + ctx.files.data)
    runfiles = runfiles.merge_all([target[DefaultInfo].default_runfiles for target in ctx.attr.data])
    environment = {name: ctx.expand_location(value, ctx.attr.data) for name, value in ctx.attr.env.items()}
    return [
        DefaultInfo(executable = launcher, runfiles = runfiles),
        RunEnvironmentInfo(environment = environment),
    ]

cargo_test = rule(
    implementation = _cargo_test_impl,
    doc = "Runs one program of `//tools/cargo:tests`, in the root of the runfiles.",
    attrs = {
        "data": attr.label_list(doc = "What it needs while it runs.", allow_files = True),
        "env": attr.string_dict(doc = "Environment, with `$(rootpath label)`."),
        "launcher": attr.label(
            doc = "The script that runs it, with `%program%` in place of its path.",
            allow_single_file = True,
            default = "//tools/cargo:cargo_test.sh",
        ),
        "program": attr.label(doc = "The test program.", allow_single_file = True, mandatory = True),
    },
    test = True,
)
