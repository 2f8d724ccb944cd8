"""The module extension `ktstr`: kernels and the emulator, by lock files."""

load("//rules/private:debian_emulator.bzl", "debian_emulator")
load("//rules/private:debian_kernel.bzl", "debian_kernel")

_KERNELS = Label("//kernels:debian.lock.json")
_EMULATOR = Label("//tools/emulator:debian.lock.json")

def _ktstr_impl(mctx):
    for name in json.decode(mctx.read(_KERNELS))["kernels"]:
        debian_kernel(name = "ktstr_kernel_" + name, kernel = name, lock = _KERNELS)
    debian_emulator(name = "ktstr_emulator", lock = _EMULATOR)
    return mctx.extension_metadata(reproducible = True)

ktstr = module_extension(
    implementation = _ktstr_impl,
    doc = "Repositories of the kernels and the emulator that tests run with.",
)
