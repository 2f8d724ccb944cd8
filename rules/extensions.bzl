"""The module extension `ktstr`: kernels, the emulator, libraries for schedulers and tools for shells, by lock files."""

load("//rules/private:debian_emulator.bzl", "debian_emulator")
load("//rules/private:debian_kernel.bzl", "debian_kernel")
load("//rules/private:debian_libraries.bzl", "debian_libraries")
load("//rules/private:debian_tools.bzl", "debian_tools")
load("//rules/private:kernel_hub.bzl", "kernel_hub")

_KERNELS = Label("//kernels:debian.lock.json")
_EMULATOR = Label("//tools/emulator:debian.lock.json")
_LIBRARIES = Label("//tools/libraries:debian.lock.json")
_TOOLS = Label("//tools/guest:debian.lock.json")
_PREFIX = "ktstr_kernel_"

def _ktstr_impl(mctx):
    for name, kernel in json.decode(mctx.read(_KERNELS))["kernels"].items():
        debian_kernel(name = _PREFIX + name, packages = json.encode(kernel["packages"]), release = kernel["release"])
    kernel_hub(name = "ktstr_kernels", lock = _KERNELS, prefix = _PREFIX)
    debian_emulator(name = "ktstr_emulator", lock = _EMULATOR)
    debian_libraries(name = "ktstr_libraries", lock = _LIBRARIES)
    debian_tools(name = "ktstr_tools", lock = _TOOLS)
    return mctx.extension_metadata(reproducible = True)

ktstr = module_extension(
    implementation = _ktstr_impl,
    doc = "Repositories of the kernels, the emulator, the libraries and the tools that tests run with.",
)
