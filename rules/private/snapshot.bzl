"""The rule behind all snapshots of machines that have booted; see `snapshot_settings.bzl`."""

load("//rules/private/validate:topologies.bzl", "label_of")
load(":kernel.bzl", "KtstrKernelInfo", "booted_image")
load(":scheduler.bzl", "KtstrSchedulerInfo")
load(":snapshot_settings.bzl", "machine_of", "without_snapshot")
load(":toolchain.bzl", "EMULATOR_TOOLCHAIN", "RUNNER_TOOLCHAIN", "emulator_description", "emulator_files")

_REQUEST_VERSION = 2

SnapshotToolsInfo = provider(
    doc = "What makes snapshots.",
    fields = {
        "emulator": "That of the toolchain.",
        "runner": "That of the toolchain.",
    },
)

def _snapshot_tools_impl(ctx):
    return [SnapshotToolsInfo(
        emulator = ctx.toolchains[EMULATOR_TOOLCHAIN].ktstr_emulator,
        runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner,
    )]

snapshot_tools = rule(
    implementation = _snapshot_tools_impl,
    cfg = without_snapshot,
    doc = "The toolchains as they are without a snapshot.",
    toolchains = [RUNNER_TOOLCHAIN, EMULATOR_TOOLCHAIN],
)

SnapshotOfInfo = provider(doc = "What a snapshot is of.", fields = {"json": "JSON, or an empty string."})

def _snapshot_of_impl(ctx):
    return [SnapshotOfInfo(json = ctx.build_setting_value)]

snapshot_of = rule(
    implementation = _snapshot_of_impl,
    build_setting = config.string(),
    doc = "Set by each test for each of its topologies.",
)

def _no_kernel_impl(_ctx):
    return [KtstrKernelInfo(arch = None, config = None, image = None, info = None, packed = None)]

no_kernel = rule(implementation = _no_kernel_impl, doc = "What no snapshot is of.")

# A kernel that has just booted has touched some 90 MiB; the emulator has its own memory, too.
def _virtual_resources(_os, _inputs):
    return {"cpu": 1, "memory": 512}

def _real_resources(_os, _inputs):
    return {"cpu": 4, "memory": 1024}

def _name(of, what, suffix):
    """Differs from that of every other snapshot: a test may have several among its runfiles."""
    return "snapshots/{}-{}-{}.{}".format(
        label_of(of["topology"]),
        of["clock"],
        "%x" % (hash(str(what) + json.encode(of)) & 0xffffffff),
        suffix,
    )

def make_snapshot(ctx, of, what, request, inputs, message, suffix = "snapshot"):
    """Declares a snapshot and the action that makes it.

    Args:
      ctx: of a rule with the attribute `_tools`
      of: a dict: what it is of
      what: tells it from others that are of the same
      request: a dict: what the runner is to do, but for the emulator
      inputs: files besides those of the emulator
      message: what is shown meanwhile
      suffix: of the file's name

    Returns:
      its providers
    """
    tools = ctx.attr._tools[SnapshotToolsInfo]
    emulator = tools.emulator if of["backend"] == "tcg" else None
    if emulator:
        described = {"emulator": emulator_description(emulator, lambda file: file.path)}
        request = {kind: fields | described for kind, fields in request.items()}
    snapshot = ctx.actions.declare_file(_name(of, what, suffix))
    file = ctx.actions.declare_file(snapshot.basename + ".json", sibling = snapshot)
    ctx.actions.write(file, json.encode_indent(dict(request, version = _REQUEST_VERSION), indent = "  ") + "\n")
    arguments = ctx.actions.args()
    arguments.add("snapshot")
    arguments.add("--request", file)
    arguments.add("--output", snapshot)
    ctx.actions.run(
        executable = tools.runner.runner,
        arguments = [arguments],
        # Under the real clock it holds the time stamp counter of the machine that made it, and fits no other.
        execution_requirements = {"no-remote-cache": "", "no-remote-exec": ""} if of["clock"] == "real" else {},
        inputs = [file] + inputs + (emulator_files(emulator) if emulator else []),
        mnemonic = "KtstrSnapshot",
        outputs = [snapshot],
        progress_message = message + " for %{output}",
        resource_set = _real_resources if of["clock"] == "real" else _virtual_resources,
    )
    return [DefaultInfo(files = depset([snapshot]))]

def of_snapshot(ctx):
    """What a snapshot is of.

    Args:
      ctx: of a rule with the attributes `_of` and `_scheduler`

    Returns:
      a dict with its topology and its clock; None without one
    """
    of = ctx.attr._of[SnapshotOfInfo].json
    if not of:
        return None
    of = json.decode(of)
    if "topology" in of:
        return of
    topology = ctx.attr._scheduler[KtstrSchedulerInfo].topology
    if not topology:
        fail("{} has no topology: give it one, or `topologies` to each of its tests".format(ctx.attr._scheduler.label))
    return machine_of(of, topology)

def _snapshot_impl(ctx):
    of = of_snapshot(ctx)
    if not of:
        return [DefaultInfo()]
    kernel = booted_image(ctx.attr._kernel[KtstrKernelInfo], of["kernel_args"])
    tools = ctx.attr._tools[SnapshotToolsInfo]
    boot = dict(
        of,
        init = tools.runner.init.path,
        kernel = kernel.path,
    )
    label = ctx.attr._kernel.label
    return make_snapshot(ctx, of, label, {"boot": boot}, [kernel, tools.runner.init], "Booting {}".format(label.name))

SNAPSHOT_ATTRS = {
    "_kernel": attr.label(default = "//rules/private:snapshot_kernel", providers = [KtstrKernelInfo]),
    "_of": attr.label(default = "//rules/private:snapshot_of", providers = [SnapshotOfInfo]),
    "_scheduler": attr.label(default = "//rules/private:snapshot_scheduler", providers = [KtstrSchedulerInfo]),
    "_tools": attr.label(default = "//rules/private:snapshot_tools", providers = [SnapshotToolsInfo]),
}

snapshot = rule(
    implementation = _snapshot_impl,
    doc = "Boots a kernel and saves the machine.",
    attrs = SNAPSHOT_ATTRS,
)
