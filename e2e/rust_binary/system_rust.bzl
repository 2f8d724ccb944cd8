"""The Rust of this machine, as a toolchain of rules_rust and a repository."""

_TRIPLE = "x86_64-unknown-linux-gnu"

# Newer compilers have the metadata of the standard library in files of its own.
_BUILD = """\
load("@rules_rust//rust:toolchain.bzl", "rust_stdlib_filegroup", "rust_toolchain")

rust_stdlib_filegroup(
    name = "std",
    srcs = glob(["lib/rustlib/{triple}/lib/*.rlib"]) + glob(["lib/rustlib/{triple}/lib/*.rmeta"], allow_empty = True),
)

rust_toolchain(
    name = "rust",
    binary_ext = "",
    dylib_ext = ".so",
    exec_triple = "{triple}",
    rust_doc = "bin/rustdoc",
    rust_std = ":std",
    rustc = "bin/rustc",
    staticlib_ext = ".a",
    stdlib_linkflags = ["-ldl", "-lpthread"],
    target_triple = "{triple}",
)

_PLATFORM = ["@platforms//cpu:x86_64", "@platforms//os:linux"]

toolchain(
    name = "toolchain",
    exec_compatible_with = _PLATFORM,
    target_compatible_with = _PLATFORM,
    toolchain = ":rust",
    toolchain_type = "@rules_rust//rust:toolchain_type",
)
"""

def _system_rust_repository_impl(rctx):
    rustc = rctx.which("rustc")
    if not rustc:
        fail("no Rust: there is no rustc on PATH, which is {}".format(rctx.getenv("PATH")))
    asked = rctx.execute([rustc, "--print", "sysroot"])
    if asked.return_code != 0:
        fail("{} --print sysroot: {}".format(rustc, asked.stderr))

    # Those of rustup on PATH are proxies, which need an environment.
    sysroot = asked.stdout.strip()
    rctx.watch(sysroot + "/bin/rustc")
    for path in ["bin/rustc", "bin/rustdoc", "lib/rustlib/{}/lib".format(_TRIPLE)]:
        rctx.symlink(sysroot + "/" + path, path)
    rctx.file("BUILD.bazel", _BUILD.format(triple = _TRIPLE))

_system_rust_repository = repository_rule(
    implementation = _system_rust_repository_impl,
    environ = ["PATH"],
)

def _system_rust_impl(mctx):
    _system_rust_repository(name = "system_rust")
    return mctx.extension_metadata(reproducible = True)

system_rust = module_extension(
    implementation = _system_rust_impl,
    doc = "The repository `system_rust`.",
)
