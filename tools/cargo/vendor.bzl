"""The crates of Cargo.lock as one archive, as a repository."""

load(":rust.bzl", "run")

_BUILD = """\
exports_files(["vendor.tar"], visibility = ["//visibility:public"])
"""

def _cargo(rctx):
    """Any cargo does, so this asks for no version and is not done again for another PATH."""
    cargo = rctx.which("cargo")
    if not cargo:
        fail("could not fetch the crates of Cargo.lock: there is no cargo on PATH: install Rust (`apt-get install rustc cargo`, or https://rustup.rs)")
    return cargo

def _cargo_vendor_impl(rctx):
    cargo = _cargo(rctx)
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
    run(rctx, [
        cargo,
        "vendor",
        "--locked",
        "--quiet",
        "--versioned-dirs",
        "--manifest-path",
        "workspace/Cargo.toml",
        "vendor",
    ], "fetch the crates of Cargo.lock")

    # Import libraries of another system are most of many crates' dependencies; cargo looks for them only if it compiles for that.
    run(rctx, ["find", "vendor", "-path", "vendor/win*/lib*.a", "-delete"], "leave out libraries of other systems")
    rctx.report_progress("packing the crates")
    run(rctx, [
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

cargo_vendor = repository_rule(
    implementation = _cargo_vendor_impl,
    doc = "`cargo vendor --locked`, once for each Cargo.lock.",
    attrs = {
        "lock": attr.label(doc = "Cargo.lock, at the root of the workspace.", mandatory = True),
        "manifests": attr.label_list(doc = "Cargo.toml of the workspace and of its members.", mandatory = True),
    },
)
