"""What a test runs with: the runner with its guest programs, and the emulator. Both run where the test runs."""

RUNNER_TOOLCHAIN = Label("//rules:runner_toolchain_type")
EMULATOR_TOOLCHAIN = Label("//rules:emulator_toolchain_type")

KtstrRunnerInfo = provider(
    doc = "The runner and the programs that it puts into the guest.",
    fields = {
        "agent": "File: runs the scenario in the guest, static.",
        "init": "File: the first program of the guest, static.",
        "runner": "File: `ktstr`.",
    },
)

KtstrEmulatorInfo = provider(
    doc = "An emulator that brings its own dynamic loader and libraries.",
    fields = {
        "binary": "File: `qemu-system-x86_64`.",
        "firmware": "List of files, all in one directory.",
        "libraries": "List of files.",
        "loader": "File: the dynamic loader.",
        "modules": "List of files, all in one directory; may be empty.",
    },
)

def emulator_files(emulator):
    """Everything that the emulator is made of."""
    return [emulator.binary, emulator.loader] + emulator.libraries + emulator.firmware + emulator.modules

def emulator_description(emulator, path):
    """Where the emulator is, as the runner reads it; `path` gives the path of a file."""

    def directories(files):
        return {path(file).rpartition("/")[0]: True for file in files}.keys()

    libraries = directories(emulator.libraries)
    return {
        "binary": path(emulator.binary),
        "data": directories(emulator.firmware)[0],
        "libraries": libraries,
        "loader": path(emulator.loader),
        # Without modules of its own the emulator must not look for the host's: any directory of the tree keeps it from
        # that.
        "modules": (directories(emulator.modules) or libraries)[0],
    }

def _ktstr_runner_toolchain_impl(ctx):
    return platform_common.ToolchainInfo(
        ktstr_runner = KtstrRunnerInfo(agent = ctx.file.agent, init = ctx.file.init, runner = ctx.file.runner),
    )

def _program(doc):
    return attr.label(allow_single_file = True, cfg = "exec", doc = doc, mandatory = True)

ktstr_runner_toolchain = rule(
    implementation = _ktstr_runner_toolchain_impl,
    doc = "The runner and its guest programs; the `toolchain` of a toolchain of type `//rules:runner_toolchain_type`.",
    attrs = {
        "agent": _program("The guest's agent, static."),
        "init": _program("The guest's first program, static."),
        "runner": _program("The program `ktstr`, static."),
    },
)

def _one_directory(files, what):
    directories = {file.dirname: True for file in files}
    if len(directories) > 1:
        fail("{} lie in {}: one directory would do".format(what, " and ".join(directories)))
    return files

def _ktstr_emulator_toolchain_impl(ctx):
    return platform_common.ToolchainInfo(
        ktstr_emulator = KtstrEmulatorInfo(
            binary = ctx.file.binary,
            firmware = _one_directory(ctx.files.firmware, "firmware files"),
            libraries = ctx.files.libraries,
            loader = ctx.file.loader,
            modules = _one_directory(ctx.files.modules, "modules"),
        ),
    )

ktstr_emulator_toolchain = rule(
    implementation = _ktstr_emulator_toolchain_impl,
    doc = "An emulator; the `toolchain` of a toolchain of type `//rules:emulator_toolchain_type`.",
    attrs = {
        "binary": _program("The program `qemu-system-x86_64`."),
        "firmware": attr.label_list(
            allow_files = True,
            cfg = "exec",
            doc = "Firmware, in one directory.",
            mandatory = True,
        ),
        "libraries": attr.label_list(
            allow_files = True,
            cfg = "exec",
            doc = "Every library that the emulator and its modules load.",
            mandatory = True,
        ),
        "loader": _program("The dynamic loader that goes with the libraries."),
        "modules": attr.label_list(
            allow_files = True,
            cfg = "exec",
            doc = "Modules of the emulator, in one directory.",
        ),
    },
)
