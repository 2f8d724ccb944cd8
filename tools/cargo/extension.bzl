"""The module extension `crates`: what the runner and the guest programs are built from."""

load(":vendor.bzl", "cargo_vendor")

_MEMBERS = ["channel", "guest", "judge", "model", "recording", "runner", "testing", "tests", "vmm"]

def _crates_impl(mctx):
    cargo_vendor(
        name = "ktstr_crates",
        lock = Label("//:Cargo.lock"),
        manifests = [Label("//:Cargo.toml")] + [
            Label("//tests:Cargo.toml" if member == "tests" else "//:{}/Cargo.toml".format(member))
            for member in _MEMBERS
        ],
    )
    return mctx.extension_metadata(reproducible = True)

crates = module_extension(
    implementation = _crates_impl,
    doc = "The repository `ktstr_crates`.",
)
