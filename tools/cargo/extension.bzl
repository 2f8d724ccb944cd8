"""The module extension `crates`: what the runner and the guest programs are built from."""

load(":rust.bzl", "rust_of_machine")
load(":vendor.bzl", "cargo_vendor")

_MEMBERS = ["channel", "guest", "init", "judge", "model", "recording", "runner", "testing", "tests", "vmm"]

def _crates_impl(mctx):
    cargo_vendor(
        name = "ktstr_crates",
        lock = Label("//:Cargo.lock"),
        manifests = [Label("//:Cargo.toml")] + [
            Label("//tests:Cargo.toml" if member == "tests" else "//:{}/Cargo.toml".format(member))
            for member in _MEMBERS
        ],
    )
    rust_of_machine(name = "ktstr_rust", manifest = Label("//:Cargo.toml"))
    return mctx.extension_metadata(reproducible = True)

crates = module_extension(
    implementation = _crates_impl,
    doc = "The repositories `ktstr_crates` and `ktstr_rust`.",
)
