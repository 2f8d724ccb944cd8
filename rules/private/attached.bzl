"""The rule behind all snapshots with a scheduler attached; see `snapshot_settings.bzl`.

A scheduler that does not come to be attached fails nothing here: the file says so, and its cases attach it by themselves.
"""

load(":kernel.bzl", "KtstrKernelInfo")
load(":scheduler.bzl", "KtstrSchedulerInfo")
load(":snapshot.bzl", "SNAPSHOT_ATTRS", "SnapshotToolsInfo", "make_snapshot", "of_snapshot")
load(":snapshot_settings.bzl", "without_scheduler")
load(":under_test.bzl", "attached_scheduler", "scheduler_description", "scheduler_files", "under_test_errors")

def _attached_impl(ctx):
    of = of_snapshot(ctx)
    if not of:
        return [DefaultInfo()]
    profile = of["profile"]
    scheduler = ctx.attr._scheduler[KtstrSchedulerInfo]
    if under_test_errors(scheduler, [profile]):
        # The test says what is wrong.
        return [DefaultInfo()]
    config = ctx.attr._kernel[KtstrKernelInfo].config
    tools = ctx.attr._tools[SnapshotToolsInfo]
    booted = ctx.attr._snapshot[0][DefaultInfo].files.to_list()[0]
    attach = {
        "agent": tools.runner.agent.path,
        "backend": of["backend"],
        "clock": of["clock"],
        "declared": attached_scheduler(scheduler, profile),
        "from": booted.path,
        "scheduler": scheduler_description(scheduler, config, lambda file: file.path),
        "topology": of["topology"],
    }
    inputs = [booted, tools.runner.agent] + scheduler_files(scheduler, config)
    what = [ctx.attr._kernel.label, ctx.attr._scheduler.label]
    message = "Attaching {}".format(scheduler.declared["name"])
    return make_snapshot(ctx, of, what, {"attach": attach}, inputs, message, suffix = "attached")

attached = rule(
    implementation = _attached_impl,
    doc = "Attaches a scheduler in a machine that starts from a snapshot, and saves that.",
    attrs = SNAPSHOT_ATTRS | {
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
        "_snapshot": attr.label(cfg = without_scheduler, default = "//rules/private:snapshot"),
    },
)
