"""What clippy says of the workspace."""

load(":cargo.bzl", "CARGO_ATTRS", "cargo")

def _cargo_clippy_impl(ctx):
    report = ctx.actions.declare_file(ctx.label.name + ".txt")
    cargo(ctx, ["clippy", "--workspace", "--all-targets"], [report], ["report", report.path], flags = ["--", "--deny=warnings"])
    return [DefaultInfo(files = depset([report]))]

cargo_clippy = rule(
    implementation = _cargo_clippy_impl,
    doc = "A file with what clippy says; empty if it has nothing to say. That is for a test to judge, not for the build.",
    attrs = CARGO_ATTRS,
)
