"""What a test becomes on another platform."""

def _to_platform_impl(_settings, attr):
    return {"//command_line_option:platforms": [attr.platform]}

_to_platform = transition(
    implementation = _to_platform_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _spec_on_platform_impl(ctx):
    return [DefaultInfo(files = ctx.attr.test[0][OutputGroupInfo].spec)]

spec_on_platform = rule(
    implementation = _spec_on_platform_impl,
    doc = "The declaration of a `ktstr_test` as it is on a platform.",
    attrs = {
        "platform": attr.label(doc = "The platform.", mandatory = True),
        "test": attr.label(cfg = _to_platform, doc = "The test.", mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)
