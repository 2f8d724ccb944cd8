"""The module extension `crates`: what the runner and the guest programs, the fixture schedulers and those of others are built from."""

load(":rust.bzl", "rust_of_machine")
load(":vendor.bzl", "cargo_vendor")

_MEMBERS = ["btf", "channel", "fuzz", "gate", "guest", "init", "judge", "model", "monitor", "recording", "runner", "testing", "tests", "timeline", "vmm"]

def _crates_impl(mctx):
    cargo_vendor(
        name = "ktstr_crates",
        lock = Label("//:Cargo.lock"),
        manifests = [Label("//:Cargo.toml")] + [
            Label("//{}:Cargo.toml".format(member) if member in ["fuzz", "tests"] else "//:{}/Cargo.toml".format(member))
            for member in _MEMBERS
        ],
    )
    cargo_vendor(
        name = "ktstr_scx_crates",
        lock = Label("//scx-ktstr:Cargo.lock"),
        manifests = [Label("//scx-ktstr:Cargo.toml")],
    )
    cargo_vendor(
        name = "ktstr_example_scheduler_crates",
        lock = Label("//examples/schedulers:Cargo.lock"),
        manifests = [Label("//examples/schedulers:Cargo.toml")],
    )
    rust_of_machine(name = "ktstr_rust", manifest = Label("//:Cargo.toml"))
    return mctx.extension_metadata(reproducible = True)

crates = module_extension(
    implementation = _crates_impl,
    doc = "The repositories `ktstr_crates`, `ktstr_scx_crates`, `ktstr_example_scheduler_crates` and `ktstr_rust`.",
)
