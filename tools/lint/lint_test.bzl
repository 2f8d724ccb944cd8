"""A lint as a test."""

load("@ktstr_rust//:rust.bzl", "RUST_BIN")

def _lint_test_impl(ctx):
    launcher = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(is_executable = True, output = launcher, target_file = ctx.file.script)
    environment = {name: ctx.expand_location(value, ctx.attr.data) for name, value in ctx.attr.env.items()}
    return [
        DefaultInfo(executable = launcher, runfiles = ctx.runfiles(ctx.files.data + [ctx.file.script])),
        RunEnvironmentInfo(environment = environment | {"KTSTR_RUST_BIN": RUST_BIN}),
    ]

lint_test = rule(
    implementation = _lint_test_impl,
    doc = "Runs a script in the root of the runfiles; `KTSTR_RUST_BIN` is where Rust's programs are.",
    attrs = {
        "data": attr.label_list(allow_files = True, doc = "What it looks at."),
        "env": attr.string_dict(doc = "Environment, with `$(rootpath label)`."),
        "script": attr.label(allow_single_file = True, mandatory = True),
    },
    test = True,
)
