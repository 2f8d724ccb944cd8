"""The module extension `ktstr`: kernels, the emulator, libraries for schedulers, tools for shells and what its own tests decode and look
with, by lock files; and the platform of this machine."""

load("//rules/private:debian_emulator.bzl", "debian_emulator")
load("//rules/private:debian_files.bzl", "debian_files")
load("//rules/private:debian_kernel.bzl", "debian_kernel")
load("//rules/private:host_platform.bzl", "host_platform")
load("//rules/private:kernel_hub.bzl", "kernel_hub")

_KERNELS = Label("//kernels:debian.lock.json")
_MODULES = Label("//kernels:modules.lock.json")
_EMULATOR = Label("//tools/emulator:debian.lock.json")
_LIBRARIES = Label("//tools/libraries:debian.lock.json")
_TOOLS = Label("//tools/guest:debian.lock.json")
_DECODERS = Label("//tools/decoders:debian.lock.json")
_BROWSER = Label("//tools/browser:debian.lock.json")
_PREFIX = "ktstr_kernel_"

def _ktstr_impl(mctx):
    for name, kernel in json.decode(mctx.read(_KERNELS))["kernels"].items():
        debian_kernel(name = _PREFIX + name, packages = json.encode(kernel["packages"]), release = kernel["release"])
    kernel_hub(name = "ktstr_kernels", lock = _KERNELS, prefix = _PREFIX)
    debian_files(name = "ktstr_host_modules", lock = _MODULES, refresh = "modules", target = "modules")
    debian_emulator(name = "ktstr_emulator", lock = _EMULATOR)
    debian_files(name = "ktstr_libraries", lock = _LIBRARIES, refresh = "libraries", target = "libraries")
    debian_files(name = "ktstr_tools", lock = _TOOLS, refresh = "tools", target = "busybox")
    debian_files(name = "ktstr_decoders", lock = _DECODERS, refresh = "decoders", target = "decoders")
    debian_files(name = "ktstr_browser", lock = _BROWSER, refresh = "browser", target = "browser")
    host_platform(name = "ktstr_host")
    return mctx.extension_metadata(reproducible = True)

ktstr = module_extension(
    implementation = _ktstr_impl,
    doc = "Repositories of the kernels, modules of one of them, the emulator, the libraries and the tools that tests run with, and `ktstr_host`.",
)
