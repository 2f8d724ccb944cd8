"""Tests that compare values that are known when a BUILD file is loaded, and files."""

def _quote(text):
    return "'{}'".format(text.replace("'", "'\\''"))

def _executable(ctx, lines, files = []):
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(script, "\n".join(["#!/bin/sh"] + lines) + "\n", is_executable = True)
    return [DefaultInfo(executable = script, runfiles = ctx.runfiles(files))]

def _values_test_impl(ctx):
    lines = []
    for what, expected in ctx.attr.expected.items():
        got = ctx.attr.got[what]
        if got != expected:
            lines.append("echo " + _quote("{}\n  expected {}\n  got      {}".format(what, expected, got)))
    return _executable(ctx, lines + ["exit 1"] if lines else ["exit 0"])

_values_test = rule(
    implementation = _values_test_impl,
    attrs = {
        "expected": attr.string_dict(mandatory = True),
        "got": attr.string_dict(mandatory = True),
    },
    test = True,
)

def values_test(name, cases):
    """Compares values.

    Args:
      name: of the test
      cases: what is looked at, with a pair: the value and what it should be
    """
    _values_test(
        name = name,
        size = "small",
        expected = {what: repr(pair[1]) for what, pair in cases.items()},
        got = {what: repr(pair[0]) for what, pair in cases.items()},
    )

def _file_test_impl(ctx):
    return _executable(ctx, [
        "diff -u {} {} && exit 0".format(ctx.file.golden.short_path, ctx.file.file.short_path),
        "echo " + _quote("if this is meant: cp {} {}".format(ctx.file.file.path, ctx.file.golden.path)),
        "exit 1",
    ], [ctx.file.golden, ctx.file.file])

_file_test = rule(
    implementation = _file_test_impl,
    attrs = {
        "file": attr.label(allow_single_file = True, mandatory = True),
        "golden": attr.label(allow_single_file = True, mandatory = True),
    },
    test = True,
)

def file_test(name, file, golden):
    """Compares a file with what it should be, and says how to renew the latter.

    Args:
      name: of the test
      file: what was made
      golden: what it should be, a source file
    """
    _file_test(name = name, size = "small", file = file, golden = golden)
