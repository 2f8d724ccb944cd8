"""`ktstr_scheduler`: a sched_ext scheduler that tests run under."""

load("//rules/private/model:topology.bzl", "without_none")
load("//rules/private/validate:scheduler.bzl", "scheduler_errors")
load(":snapshot_settings.bzl", "without_snapshot")

KtstrSchedulerInfo = provider(
    doc = "A sched_ext scheduler, with what its tests inherit.",
    fields = {
        "declared": "A dict, as in the declaration of a test: `name`, `args`, `files`, `checks`, `series`, `kernel_features`, `attach_timeout`.",
        "files": "A dict: path in the guest to File.",
        "flags": "A dict: name to list of arguments.",
        "libraries": "List of files: shared libraries, and the dynamic loader.",
        "program": "File: the executable; or None.",
        "relations": "A struct: `requires` and `conflicts`, each a dict of name to names.",
        "topology": "What `topology(…)` returns, or None.",
    },
)

def _is_library(file):
    return file.basename.endswith(".so") or ".so." in file.basename

def _ktstr_scheduler_impl(ctx):
    program = ctx.executable.binary
    declared = json.decode(ctx.attr.declared)
    runtime = ctx.attr.binary[DefaultInfo].default_runfiles.files.to_list()
    return [
        DefaultInfo(files = depset([program])),
        KtstrSchedulerInfo(
            declared = declared["scheduler"],
            files = {
                path: target[DefaultInfo].files.to_list()[0]
                for target, paths in ctx.attr.files.items()
                for path in paths.split("\n")
            },
            flags = declared["flags"],
            libraries = [file for file in runtime if _is_library(file)] + ctx.files.libraries,
            program = program,
            relations = struct(conflicts = declared["conflicts"], requires = declared["requires"]),
            topology = declared["topology"],
        ),
    ]

_ktstr_scheduler = rule(
    implementation = _ktstr_scheduler_impl,
    doc = "Made by `ktstr_scheduler`.",
    attrs = {
        "binary": attr.label(allow_files = True, cfg = "target", executable = True, mandatory = True),
        "declared": attr.string(doc = "As JSON.", mandatory = True),
        "files": attr.label_keyed_string_dict(allow_files = True, doc = "Paths in the guest, a line each."),
        "libraries": attr.label_list(allow_files = True),
    },
    cfg = without_snapshot,
    provides = [KtstrSchedulerInfo],
)

def _no_scheduler_impl(_ctx):
    return [KtstrSchedulerInfo(
        declared = None,
        files = {},
        flags = {},
        libraries = [],
        program = None,
        relations = struct(conflicts = {}, requires = {}),
        topology = None,
    )]

no_scheduler = rule(implementation = _no_scheduler_impl, doc = "The kernel's own.")

def ktstr_scheduler(
        name,
        binary,
        args = [],
        flags = {},
        requires = {},
        conflicts = {},
        topology = None,
        checks = None,
        kernel_features = [],
        files = {},
        libraries = None,
        attach_timeout = None,
        series = None,
        **kwargs):
    """A sched_ext scheduler, as tests run under it.

    What cannot be is refused when the BUILD file is loaded, with the path to the field.

    Args:
      name: of the target, and what it is called in the guest and in reports
      binary: the program: an executable target of any rule, or a file; x86-64, static or dynamic
      args: its arguments in every case
      flags: names for arguments, such as `{"llc": ["--llc"], "steal": ["--steal"]}`; a test says which of them it wants
      requires: flags that a flag cannot do without: `{"steal": ["llc"]}`
      conflicts: flags that a flag cannot be together with
      topology: the machine of tests that name none: `topology(…)`
      checks: bounds that tests inherit, each unless they say otherwise: `checks(…)`
      kernel_features: what a kernel must have, or the cases are skipped: `"CONFIG_X"`, a kfunc such as `"scx_bpf_dsq_peek"`, a type, a
        constant `"SCX_X"`, or a member such as `"sched_ext_ops.cgroup_set_bandwidth"`. That it has sched_ext goes without saying
      files: data files that it reads: path in the guest to label
      libraries: where the shared libraries that it needs are looked for, and its dynamic loader: files, or directories that a build makes. Those among
        the runfiles of `binary` come first. By default `@ktstr_libraries`: libc, libelf, libz, libzstd and others, of a recent Debian
      attach_timeout: guest time in which it has to be attached, such as `"60s"`; by default 180 seconds
      series: variables of it that are sampled in all tests: a list of `series(…)`
      **kwargs: what any target takes: tags, visibility, testonly, …
    """
    errors = scheduler_errors(dict(
        name = name,
        args = args,
        attach_timeout = attach_timeout,
        binary = binary,
        checks = checks,
        conflicts = conflicts,
        files = files,
        flags = flags,
        kernel_features = kernel_features,
        requires = requires,
        series = series,
        topology = topology,
    ))
    if errors:
        fail("\n" + "\n".join(["{}: {}".format(name, text) for text in errors]))
    by_label = {}
    for path, label in files.items():
        by_label.setdefault(label, []).append(path)
    _ktstr_scheduler(
        name = name,
        binary = binary,
        declared = json.encode({
            "conflicts": conflicts,
            "flags": flags,
            "requires": requires,
            "scheduler": without_none(
                name = name,
                args = args or None,
                attach_timeout = attach_timeout,
                checks = checks or None,
                files = sorted(files.keys()) or None,
                kernel_features = kernel_features or None,
                series = series or None,
            ),
            "topology": topology,
        }),
        files = {label: "\n".join(paths) for label, paths in by_label.items()},
        libraries = [Label("//rules:guest_libraries")] if libraries == None else libraries,
        **kwargs
    )
