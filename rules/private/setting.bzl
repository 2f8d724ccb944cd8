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

SETTINGS = ["//rules:backend", "//rules:clock"]

def _default_settings_impl(_settings, _attr):
    return {name: "auto" for name in SETTINGS}

# What does not depend on the settings is made once for all their values.
default_settings = transition(
    implementation = _default_settings_impl,
    inputs = [],
    outputs = SETTINGS,
)
