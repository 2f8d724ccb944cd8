"""The rule behind `ktstr_test`: declaration, files and what Bazel has to know about a test."""

load("//rules/private/validate:flags.bzl", "profile_name")
load("//rules/private/validate:placement.bzl", "placement_errors")
load("//rules/private/validate:topologies.bzl", "label_of")
load(
    ":declared.bzl",
    "DECLARED_ATTRS",
    "boot_of",
    "declared_by",
    "files_of_scheduler",
    "launch_of",
    "launch_scheduler",
    "machines_of",
    "runfile",
    "write_json",
    "write_spec",
)
load(":kernel.bzl", "KtstrKernelInfo")
load(":resources.bzl", "resources")
load(":scheduler.bzl", "KtstrSchedulerInfo")
load(":setting.bzl", "KtstrSettingInfo")
load(":snapshot_settings.bzl", "INHERITED", "attached_snapshots", "snapshots", "start_of")
load(":toolchain.bzl", "EMULATOR_TOOLCHAIN", "RUNNER_TOOLCHAIN")

def _flags(ctx):
    """Settings of the command line that had a say here, for the command that runs a case again."""
    settings = {
        "backend": None if ctx.attr.backend else ctx.attr._backend[KtstrSettingInfo].value,
        "clock": None if ctx.attr.clock else ctx.attr._clock[KtstrSettingInfo].value,
    }
    return [
        "--@ktstr//rules:{}={}".format(name, value)
        for name, value in settings.items()
        if value and value != "auto"
    ]

def _machines(ctx, start, runner):
    """What machines begin with: where the runner finds it, and the files."""
    if start == "boot":
        return boot_of(ctx, runner)
    booted = {_label(ctx, label): _file(target) for label, target in ctx.split_attr._snapshot.items()}
    attached = {}
    for key, target in ctx.split_attr._attached.items():
        if key != "none":
            label, _, index = key.rpartition("/")
            attached.setdefault(_label(ctx, label), {})[_profile_names(ctx)[int(index)]] = _file(target)
    return {
        "attached": {label: {name: runfile(ctx, file) for name, file in files.items()} for label, files in attached.items()},
        "machines": {"snapshots": {label: runfile(ctx, file) for label, file in booted.items()}},
    }, booted.values() + [file for files in attached.values() for file in files.values()]

def _file(target):
    return target[DefaultInfo].files.to_list()[0]

def _label(ctx, label):
    return label_of(ctx.attr.scheduler[KtstrSchedulerInfo].topology) if label == INHERITED else label

def _profile_names(ctx):
    return [profile_name(profile) for profile in json.decode(ctx.attr.flags)] if ctx.attr.flags else [""]

def _image(ctx, declared):
    """The image of the kernel, which is read to look at guests from outside: where the runner finds it, and the file."""
    if declared.get("monitor", True) == False:
        return {}, []
    image = ctx.attr.kernel[KtstrKernelInfo].image
    return {"image": runfile(ctx, image)}, [image]

def _ktstr_test_impl(ctx):
    runner = ctx.toolchains[RUNNER_TOOLCHAIN].ktstr_runner
    emulator = ctx.toolchains[EMULATOR_TOOLCHAIN].ktstr_emulator
    declared = declared_by(ctx)
    backend, clocks = machines_of(ctx, declared["topologies"])
    for text in placement_errors(declared, backend):
        fail("{}: {}".format(ctx.label.name, text))
    start = start_of(ctx.attr.start, backend)
    spec = write_spec(ctx, declared, backend, clocks, start)
    machines, files = _machines(ctx, start, runner)
    launch, emulator_files = launch_of(ctx, spec, machines, runner, emulator, backend)
    image, image_files = _image(ctx, declared)
    launch = write_json(ctx, ".launch.json", launch | {"flags": _flags(ctx)} | image | launch_scheduler(ctx))
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(is_executable = True, output = executable, target_file = runner.runner)
    runfiles = ctx.runfiles([launch, spec, runner.runner, runner.agent] + files + image_files + files_of_scheduler(ctx) + emulator_files)
    return [
        DefaultInfo(executable = executable, files = depset([executable, launch, spec]), runfiles = runfiles),
        OutputGroupInfo(spec = depset([spec])),
        testing.ExecutionInfo(resources(ctx.attr.tags, declared["topologies"], clocks, "pin_cpus" in declared)),
    ]

ktstr_internal_test = rule(
    implementation = _ktstr_test_impl,
    doc = "Made by `ktstr_test`.",
    attrs = DECLARED_ATTRS | {
        "start": attr.string(doc = "Insists on where cases start.", values = ["", "boot", "attach", "snapshot"]),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
        "_attached": attr.label(cfg = attached_snapshots, default = "//rules/private:attached"),
        "_snapshot": attr.label(cfg = snapshots, default = "//rules/private:snapshot"),
    },
    test = True,
    toolchains = [RUNNER_TOOLCHAIN, EMULATOR_TOOLCHAIN],
)
