"""Build settings whose value is one of a few words."""

KtstrSettingInfo = provider(
    doc = "The value of a build setting.",
    fields = {"value": "One of its words."},
)

def _ktstr_setting_impl(ctx):
    value = ctx.build_setting_value
    if value not in ctx.attr.values:
        fail("{} is `{}`; it takes {}".format(ctx.label, value, ", ".join(ctx.attr.values)))
    return KtstrSettingInfo(value = value)

ktstr_setting = rule(
    implementation = _ktstr_setting_impl,
    doc = "A setting for the command line.",
    attrs = {"values": attr.string_list(doc = "The words that it takes.", mandatory = True)},
    build_setting = config.string(flag = True),
)
