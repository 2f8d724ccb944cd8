"""The rule behind `//bench`."""

load("//rules:defs.bzl", "KtstrKernelInfo")

_EMULATOR_TOOLCHAIN = Label("//rules:emulator_toolchain_type")
_RUNNER_TOOLCHAIN = Label("//rules:runner_toolchain_type")

def _bench_impl(ctx):
    emulator = ctx.toolchains[_EMULATOR_TOOLCHAIN].ktstr_emulator
    init = ctx.toolchains[_RUNNER_TOOLCHAIN].ktstr_runner.init
    kernel = ctx.attr.kernel[KtstrKernelInfo].image
    launcher = ctx.actions.declare_file(ctx.label.name + ".launcher.sh")
    ctx.actions.write(launcher, "\n".join(["#!/usr/bin/env bash"] + [
        "export {}={}".format(name, value)
        for name, value in {
            "BENCH_BINARY": emulator.binary.short_path,
            "BENCH_FIRMWARE": emulator.firmware[0].short_path.rpartition("/")[0],
            "BENCH_INIT": init.short_path,
            "BENCH_KERNEL": kernel.short_path,
            "BENCH_LIBRARIES": ":".join({file.short_path.rpartition("/")[0]: True for file in emulator.libraries}.keys()),
            "BENCH_LOADER": emulator.loader.short_path,
        }.items()
    ] + ['exec "{}" "$@"'.format(ctx.file.script.short_path), ""]), is_executable = True)
    files = [ctx.file.script, init, kernel, emulator.binary, emulator.loader] + ctx.files.data
    runfiles = ctx.runfiles(files + emulator.firmware + emulator.libraries + emulator.modules)
    return [DefaultInfo(
        executable = launcher,
        runfiles = runfiles.merge_all([target[DefaultInfo].default_runfiles for target in ctx.attr.targets]),
    )]

bench = rule(
    implementation = _bench_impl,
    doc = "Runs a script in the root of the runfiles, with targets, a kernel and the bare emulator at hand.",
    attrs = {
        "data": attr.label_list(allow_files = True, doc = "What the script calls."),
        "kernel": attr.label(doc = "Booted by the bare emulator.", mandatory = True, providers = [KtstrKernelInfo]),
        "script": attr.label(allow_single_file = True, doc = "What is run.", mandatory = True),
        "targets": attr.label_list(doc = "Tests that are measured; the script finds them at their paths.", mandatory = True),
    },
    executable = True,
    toolchains = [_EMULATOR_TOOLCHAIN, _RUNNER_TOOLCHAIN],
)
