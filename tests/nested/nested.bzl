"""Tests that need a genuine KVM, on any machine: they run on a host that is emulated as a whole.

The host is a machine whose CPUs have AMD's virtualization. It boots once, in an action of the build, and is saved; each test starts
from there, loads the host's modules and runs one command.
"""

load("//rules:defs.bzl", "KtstrKernelInfo", "topology")
load("//rules/private:resources.bzl", "resources")  # buildifier: disable=bzl-visibility
load("//rules/private:snapshot.bzl", "SnapshotToolsInfo", "make_snapshot")  # buildifier: disable=bzl-visibility
load("//rules/private:toolchain.bzl", "emulator_description", "emulator_files")  # buildifier: disable=bzl-visibility

NestedHostInfo = provider(
    doc = "A host that was saved.",
    fields = {
        "modules": "List of files: modules of its kernel, unpacked, in the order in which they are loaded.",
        "snapshot": "File: the save.",
        "topology": "The machine.",
    },
)

_TOOLS = {
    "_busybox": attr.label(allow_single_file = True, default = "//rules:guest_tools"),
    "_tools": attr.label(default = "//rules/private:snapshot_tools", providers = [SnapshotToolsInfo]),
}

def _unpacked(ctx, module):
    """The host has the tools for that, too, and would need three times as long."""
    name = module.basename.removesuffix(".xz")
    unpacked = ctx.actions.declare_file("{}.modules/{}".format(ctx.label.name, name))
    ctx.actions.run_shell(
        arguments = [ctx.file._busybox.path, module.path, unpacked.path],
        command = "\"$1\" xz -dc \"$2\" >\"$3\"",
        inputs = [ctx.file._busybox, module],
        mnemonic = "UnpackModule",
        outputs = [unpacked],
    )
    return unpacked

def _nested_host_impl(ctx):
    tools = ctx.attr._tools[SnapshotToolsInfo]
    kernel = ctx.attr.kernel[KtstrKernelInfo].image
    of = {
        "backend": "tcg",
        "clock": "real",
        "kernel_args": [],
        "topology": topology(1, 1, 1, 1, memory = ctx.attr.memory),
        "virtualization": True,
    }
    boot = dict(
        of,
        init = tools.runner.init.path,
        kernel = kernel.path,
    )
    files = make_snapshot(ctx, of, ctx.label, {"boot": boot}, [kernel, tools.runner.init], "Booting {}".format(ctx.label.name))
    return files + [NestedHostInfo(
        modules = [_unpacked(ctx, module) for module in ctx.files.modules],
        snapshot = files[0].files.to_list()[0],
        topology = of["topology"],
    )]

nested_host = rule(
    implementation = _nested_host_impl,
    doc = "Boots a host for virtual machines and saves it.",
    attrs = _TOOLS | {
        "kernel": attr.label(doc = "That of the host.", mandatory = True, providers = [KtstrKernelInfo]),
        "memory": attr.string(default = "2G", doc = "Of the host: its files and the memory of its virtual machines."),
        "modules": attr.label_list(allow_files = [".ko.xz"], doc = "Of the kernel, in the order in which they are loaded.", mandatory = True),
    },
)

_LAUNCHER = """\
#!/bin/sh
# Runs in the root of the runfiles.
export TMPDIR="${{TEST_TMPDIR:-/tmp}}"
exec {runner} nested --request {request} -- "$@" ${{TESTBRIDGE_TEST_ONLY:+"$TESTBRIDGE_TEST_ONLY"}}
"""

def _nested_test_impl(ctx):
    host, tools = ctx.attr.host[NestedHostInfo], ctx.attr._tools[SnapshotToolsInfo]
    files = {"/lib/modules/" + module.basename: module for module in host.modules}
    if ctx.attr.programs:
        files |= {"/bin/" + file.basename: file for file in [tools.runner.runner, tools.runner.init, tools.runner.agent]}
    for target, path in ctx.attr.files.items():
        given = target[DefaultInfo].files.to_list()
        if len(given) != 1:
            fail("files: {} is {} files, and one would do for {}".format(target.label, len(given), path))
        files[path] = given[0]
    request = ctx.actions.declare_file(ctx.label.name + ".request.json")
    load_modules = ["insmod /lib/modules/" + module.basename for module in host.modules]
    ctx.actions.write(request, json.encode_indent({
        "agent": tools.runner.agent.short_path,
        "busybox": ctx.file._busybox.short_path,
        "command": " && ".join(load_modules + [ctx.attr.command]),
        "emulator": emulator_description(tools.emulator, lambda file: file.short_path),
        "files": {path: file.short_path for path, file in files.items()},
        "snapshot": host.snapshot.short_path,
        "topology": host.topology,
    }, indent = "  ") + "\n")
    launcher = ctx.actions.declare_file(ctx.label.name + ".sh")
    runner = tools.runner.runner
    ctx.actions.write(launcher, _LAUNCHER.format(request = request.short_path, runner = runner.short_path), is_executable = True)
    runfiles = [request, runner, tools.runner.agent, ctx.file._busybox, host.snapshot] + files.values()
    return [
        DefaultInfo(executable = launcher, runfiles = ctx.runfiles(runfiles + emulator_files(tools.emulator))),
        testing.ExecutionInfo(resources(ctx.attr.tags, [host.topology], ["real"])),
    ]

nested_test = rule(
    implementation = _nested_test_impl,
    doc = "Runs a command on a host for virtual machines: its output is the test's, and its exit status, too. 125: it did not come to one.",
    attrs = _TOOLS | {
        "command": attr.string(doc = "For `sh -c`. Arguments of the test are added to it.", mandatory = True),
        "files": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "Files for the host, one a label, and their paths there. Programs have to be static.",
        ),
        "programs": attr.bool(doc = "Whether ktstr's own programs are there, in /bin."),
        "host": attr.label(default = "//tests/nested:host", doc = "Where it runs.", providers = [NestedHostInfo]),
    },
    test = True,
)
