"""Cargo in two actions: the dependencies, from vendored sources, into an archive; then our own crates on top of it.

A change of our own code runs only the second. Both run at one fixed path of the user that nothing else uses, because cargo takes the path of a
workspace into account when it decides what is up to date.
"""

load("@ktstr_rust//:rust.bzl", "RUST_BIN", "RUST_VERSION")

CARGO_ATTRS = {
    "manifests": attr.label_list(
        doc = "Cargo.lock, cargo's configuration, and all Cargo.toml.",
        allow_files = True,
        mandatory = True,
    ),
    "sources": attr.label_list(
        doc = "Everything else that the crates are made of.",
        allow_files = True,
        mandatory = True,
    ),
    "vendor": attr.label(
        doc = "Archive of all crates from the registry.",
        allow_single_file = True,
        default = "@ktstr_crates//:vendor.tar",
    ),
    "workspace": attr.string(doc = "Folder of the workspace; by default the root. What is not in it lies where it would lie below it."),
    "_script": attr.label(
        allow_single_file = True,
        cfg = "exec",
        default = "//tools/cargo:cargo.sh",
    ),
}

def workspace_path(file):
    """Path of a source file below the root of its repository.

    Args:
      file: the file
    """
    path = file.short_path
    return path.split("/", 2)[2] if path.startswith("../") else path

def _in_workspace(file, workspace):
    return workspace_path(file).removeprefix(workspace + "/")

def _is_target_root(file):
    """Whether it is a library or a program: only its name matters for the dependencies. Tests need no others."""
    folders = workspace_path(file).split("/")[1:-1]
    return folders == ["src", "bin"] or (folders == ["src"] and file.basename in ["lib.rs", "main.rs"])

def _place(ctx):
    return "/tmp/ktstr-cargo-" + "-".join([ctx.attr.workspace, ctx.label.name] if ctx.attr.workspace else [ctx.label.name]).replace("/", "-")

def _environment():
    return {"KTSTR_RUST_BIN": RUST_BIN, "KTSTR_RUST_VERSION": RUST_VERSION}

def _list(ctx, files, map_each):
    """A file with one line a file, as cargo.sh reads it."""
    lines = ctx.actions.args()
    lines.set_param_file_format("multiline")
    lines.use_param_file("%s", use_always = True)
    lines.add_all(files, map_each = map_each, allow_closure = True)
    return lines

def _placed(workspace):
    return lambda file: "{}\t{}".format(file.path, _in_workspace(file, workspace))

def cargo_all(ctx, command, outputs, collect):
    """Declares one action that compiles everything: for programs that are crates of the registry themselves.

    Args:
      ctx: of a rule with CARGO_ATTRS
      command: arguments of cargo
      outputs: files of the action
      collect: words that tell cargo.sh what to do with the build: how to make the outputs
    """
    files = ctx.files.manifests + ctx.files.sources
    ctx.actions.run(
        arguments = [
            "all",
            _place(ctx),
            ctx.file.vendor.path,
            _list(ctx, files, _placed(ctx.attr.workspace)),
            str(len(collect)),
        ] + collect + command,
        env = _environment(),
        executable = ctx.file._script,
        inputs = files + [ctx.file.vendor],
        mnemonic = "Cargo",
        outputs = outputs,
        progress_message = "Compiling crates from the registry for %{label}",
        use_default_shell_env = True,
    )

def cargo(ctx, command, outputs, collect, flags = [], flags_of_dependencies = []):
    """Declares both actions.

    Args:
      ctx: of a rule with CARGO_ATTRS
      command: arguments of cargo for both actions
      outputs: files of the second action
      collect: words that tell cargo.sh what to do with the build: how to make the outputs
      flags: further arguments of cargo in the second action
      flags_of_dependencies: further arguments of cargo in the first action
    """
    dependencies = ctx.actions.declare_file(ctx.label.name + ".dependencies.tar")
    place = _place(ctx)
    environment = _environment()
    workspace = ctx.attr.workspace
    placed = _placed(workspace)
    manifests = _list(ctx, ctx.files.manifests, placed)
    stubs = _list(ctx, ctx.files.sources, lambda file: _in_workspace(file, workspace) if _is_target_root(file) else None)
    ctx.actions.run(
        arguments = ["dependencies", place, ctx.file.vendor.path, manifests, stubs, dependencies.path] + command + flags_of_dependencies,
        env = environment,
        executable = ctx.file._script,
        inputs = ctx.files.manifests + [ctx.file.vendor],
        mnemonic = "CargoDependencies",
        outputs = [dependencies],
        progress_message = "Compiling crates from the registry for %{label}",
        use_default_shell_env = True,
    )

    sources = _list(ctx, ctx.files.manifests + ctx.files.sources, placed)
    ctx.actions.run(
        arguments = ["crates", place, ctx.file.vendor.path, sources, dependencies.path, str(len(collect))] + collect + command + flags,
        env = environment,
        executable = ctx.file._script,
        inputs = ctx.files.manifests + ctx.files.sources + [ctx.file.vendor, dependencies],
        mnemonic = "Cargo",
        outputs = outputs,
        progress_message = "Compiling ktstr's own crates for %{label}",
        use_default_shell_env = True,
    )
