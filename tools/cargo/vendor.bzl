"""The crates of Cargo.lock as one archive, and the Rust that builds them, as a repository."""

_BUILD = """\
exports_files(["vendor.tar"], visibility = ["//visibility:public"])
"""

_RUST = """\
\"\"\"The Rust of this machine: part of the key of every action that uses it.\"\"\"

RUST_BIN = "{bin}"

RUST_VERSION = "{version}"
"""

def _run(rctx, arguments, doing):
    result = rctx.execute(arguments, timeout = 900)
    if result.return_code != 0:
        fail("could not {}:\n{}\n{}".format(doing, result.stdout, result.stderr))
    return result.stdout.strip()

def _rust_bin(rctx):
    """The directory of the real programs: rustup's are only proxies, which need an environment."""
    rustc = rctx.which("rustc")
    if not rustc:
        fail("no rustc on PATH: install Rust (`apt-get install rustc cargo`, or https://rustup.rs), then run this again")
    return _run(rctx, [rustc, "--print", "sysroot"], "ask rustc for its directory") + "/bin"

def _cargo_vendor_impl(rctx):
    rust_bin = _rust_bin(rctx)
    lock = rctx.path(rctx.attr.lock)
    rctx.watch(lock)
    root = lock.dirname

    # Cargo wants the targets of each manifest to exist; what is in them does not matter here.
    rctx.symlink(lock, "workspace/Cargo.lock")
    for manifest in rctx.attr.manifests:
        path = rctx.path(manifest)
        rctx.watch(path)
        place = "workspace" + str(path)[len(str(root)):]
        rctx.file(place, rctx.read(path))
        rctx.file(place.rsplit("/", 1)[0] + "/src/main.rs", "")
        rctx.file(place.rsplit("/", 1)[0] + "/src/lib.rs", "")
    rctx.report_progress("fetching the crates of Cargo.lock")
    _run(rctx, [
        rust_bin + "/cargo",
        "vendor",
        "--locked",
        "--quiet",
        "--versioned-dirs",
        "--manifest-path",
        "workspace/Cargo.toml",
        "vendor",
    ], "fetch the crates of Cargo.lock")
    rctx.report_progress("packing the crates")
    _run(rctx, [
        "tar",
        "--create",
        "--file=vendor.tar",
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "vendor",
    ], "pack the crates")
    rctx.delete("vendor")
    rctx.delete("workspace")
    rctx.file("BUILD.bazel", _BUILD)
    rctx.file("rust.bzl", _RUST.format(
        bin = rust_bin,
        version = _run(rctx, [rust_bin + "/rustc", "--version"], "ask rustc for its version"),
    ))

cargo_vendor = repository_rule(
    implementation = _cargo_vendor_impl,
    doc = "`cargo vendor --locked`, once for each Cargo.lock.",
    attrs = {
        "lock": attr.label(doc = "Cargo.lock, at the root of the workspace.", mandatory = True),
        "manifests": attr.label_list(doc = "Cargo.toml of the workspace and of its members.", mandatory = True),
    },
    environ = ["PATH"],
)
