"""The rule behind all snapshots; see `snapshot_settings.bzl`."""

load("//rules/private/validate:topologies.bzl", "label_of")
load(":kernel.bzl", "KtstrKernelInfo")
load(":snapshot_settings.bzl", "without_snapshot")
load(":toolchain.bzl", "EMULATOR_TOOLCHAIN", "RUNNER_TOOLCHAIN", "emulator_description", "emulator_files")

_REQUEST_VERSION = 2

_ToolsInfo = provider(
    doc = "What makes snapshots.",
    fields = {
        "emulator": "That of the toolchain.",
        "runner": "That of the toolchain.",
    },
)

def _snapshot_tools_impl(ctx):
    return [_ToolsInfo(
        emulator = ctx.toolchains[EMULATOR_TOOLCHAIN].ktstr_emulator,
        runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner,
    )]

snapshot_tools = rule(
    implementation = _snapshot_tools_impl,
    cfg = without_snapshot,
    doc = "The toolchains as they are without a snapshot.",
    toolchains = [RUNNER_TOOLCHAIN, EMULATOR_TOOLCHAIN],
)

_OfInfo = provider(doc = "What a snapshot is of.", fields = {"json": "JSON, or an empty string."})

def _snapshot_of_impl(ctx):
    return [_OfInfo(json = ctx.build_setting_value)]

snapshot_of = rule(
    implementation = _snapshot_of_impl,
    build_setting = config.string(),
    doc = "Set by each test for each of its topologies.",
)

def _no_kernel_impl(_ctx):
    return [KtstrKernelInfo(arch = None, config = None, image = None, info = None)]

no_kernel = rule(implementation = _no_kernel_impl, doc = "What no snapshot is of.")

# A kernel that has just booted has touched some 90 MiB; the emulator has its own memory, too.
def _virtual_resources(_os, _inputs):
    return {"cpu": 1, "memory": 512}

def _real_resources(_os, _inputs):
    return {"cpu": 4, "memory": 1024}

def _name(kernel, of):
    """Differs from that of every other snapshot: a test may have several among its runfiles."""
    return "snapshots/{}-{}-{}.snapshot".format(
        label_of(of["topology"]),
        of["clock"],
        "%x" % (hash(str(kernel) + json.encode(of)) & 0xffffffff),
    )

def _snapshot_impl(ctx):
    of = ctx.attr._of[_OfInfo].json
    if not of:
        return [DefaultInfo()]
    of = json.decode(of)
    kernel = ctx.attr._kernel[KtstrKernelInfo].image
    tools = ctx.attr._tools[_ToolsInfo]
    snapshot = ctx.actions.declare_file(_name(ctx.attr._kernel.label, of))
    request = ctx.actions.declare_file(snapshot.basename + ".json", sibling = snapshot)
    boot = dict(
        of,
        emulator = emulator_description(tools.emulator, lambda file: file.path),
        init = tools.runner.init.path,
        kernel = kernel.path,
    )
    ctx.actions.write(request, json.encode_indent({
        "boot": boot,
        "version": _REQUEST_VERSION,
    }, indent = "  ") + "\n")
    arguments = ctx.actions.args()
    arguments.add("snapshot")
    arguments.add("--request", request)
    arguments.add("--output", snapshot)
    ctx.actions.run(
        executable = tools.runner.runner,
        arguments = [arguments],
        # Under the real clock it holds the time stamp counter of the machine that made it, and fits no other.
        execution_requirements = {"no-remote-cache": "", "no-remote-exec": ""} if of["clock"] == "real" else {},
        inputs = [request, kernel, tools.runner.init] + emulator_files(tools.emulator),
        mnemonic = "KtstrSnapshot",
        outputs = [snapshot],
        progress_message = "Booting {} for %{{output}}".format(ctx.attr._kernel.label.name),
        resource_set = _real_resources if of["clock"] == "real" else _virtual_resources,
    )
    return [DefaultInfo(files = depset([snapshot]))]

snapshot = rule(
    implementation = _snapshot_impl,
    doc = "Boots a kernel and saves the machine.",
    attrs = {
        "_kernel": attr.label(default = "//rules/private:snapshot_kernel", providers = [KtstrKernelInfo]),
        "_of": attr.label(default = "//rules/private:snapshot_of", providers = [_OfInfo]),
        "_tools": attr.label(default = "//rules/private:snapshot_tools", providers = [_ToolsInfo]),
    },
)
