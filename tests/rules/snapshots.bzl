"""Which tests share a snapshot, and what one is made of."""

_MadeInfo = provider(doc = "Snapshots by their path, with the names of what they are made of.", fields = {"made": "A dict."})

_ATTRIBUTES = ["_attached", "_snapshot"]

def _made_impl(target, ctx):
    made = {
        action.outputs.to_list()[0].path: sorted([file.basename for file in action.inputs.to_list()])
        for action in target.actions
        if action.mnemonic == "KtstrSnapshot"
    }
    for attribute in _ATTRIBUTES:
        for below in getattr(ctx.rule.attr, attribute, []):
            made.update(below[_MadeInfo].made)
    return [_MadeInfo(made = made)]

_made = aspect(implementation = _made_impl, attr_aspects = _ATTRIBUTES)

def _snapshots_test_impl(ctx):
    problems = []
    same = [target[_MadeInfo].made for target in ctx.attr.same]
    for target, made in zip(ctx.attr.same, same):
        if not made or made.keys() != same[0].keys():
            problems.append("{} starts from {}, and {} from {}".format(
                ctx.attr.same[0].label,
                same[0].keys(),
                target.label,
                made.keys(),
            ))
    for target in ctx.attr.others:
        shared = [path for path in target[_MadeInfo].made if path in same[0]]
        if shared or not target[_MadeInfo].made:
            problems.append("{} shares {}".format(target.label, shared))
    for target in ctx.attr.boots:
        if target[_MadeInfo].made:
            problems.append("{} starts from {}".format(target.label, target[_MadeInfo].made.keys()))
    for path, inputs in same[0].items():
        if "ktstr-init" not in inputs or "ktstr-agent" in inputs:
            problems.append("{} is made of {}".format(path, inputs))
    attached = [target[_MadeInfo].made for target in ctx.attr.attached]
    for target, made in zip(ctx.attr.attached, attached):
        if made.keys() != attached[0].keys() or len(made) != len(same[0]) + 1 or [path for path in same[0] if path not in made]:
            problems.append("{} starts from {}".format(target.label, made.keys()))
    for path, inputs in attached[0].items():
        if path not in same[0] and ("ktstr-agent" not in inputs or "scx-ktstr" not in inputs or len([i for i in inputs if i.endswith(".snapshot")]) != 1):
            problems.append("{} is made of {}".format(path, inputs))
    script = ctx.actions.declare_file(ctx.label.name)
    lines = ["echo '{}'".format(problem) for problem in problems] + ["exit 1" if problems else "exit 0"]
    ctx.actions.write(script, "\n".join(["#!/bin/sh"] + lines) + "\n", is_executable = True)
    return [DefaultInfo(executable = script)]

snapshots_test = rule(
    implementation = _snapshots_test_impl,
    doc = "Compares the snapshots of tests; nothing is built for that.",
    attrs = {
        "attached": attr.label_list(
            aspects = [_made],
            doc = "Tests that all start from one snapshot with the scheduler attached, which is made of the one of `same`.",
            mandatory = True,
        ),
        "boots": attr.label_list(aspects = [_made], doc = "Tests that start from none."),
        "others": attr.label_list(aspects = [_made], doc = "Tests that start from other snapshots than `same`."),
        "same": attr.label_list(aspects = [_made], doc = "Tests that all start from one snapshot.", mandatory = True),
    },
    test = True,
)
