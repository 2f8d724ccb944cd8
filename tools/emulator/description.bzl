"""The emulator as the crates' own tests want it described."""

_EMULATOR_TOOLCHAIN = Label("//rules:emulator_toolchain_type")

def _emulator_description_impl(ctx):
    emulator = ctx.toolchains[_EMULATOR_TOOLCHAIN].ktstr_emulator
    description = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(description, json.encode({
        "binary": emulator.binary.short_path,
        "data": emulator.firmware[0].short_path.rpartition("/")[0],
        "libraries": {file.short_path.rpartition("/")[0]: True for file in emulator.libraries}.keys(),
        "loader": emulator.loader.short_path,
    }))
    files = [description, emulator.binary, emulator.loader] + emulator.firmware + emulator.libraries + emulator.modules
    return [DefaultInfo(files = depset([description]), runfiles = ctx.runfiles(files))]

emulator_description = rule(
    implementation = _emulator_description_impl,
    doc = "A JSON file with the fields of `ktstr_vmm::Emulator`: paths below the root of a test's runfiles.",
    toolchains = [_EMULATOR_TOOLCHAIN],
)
