"""The module extension `decoders`: programs that read back, in a test, what a machine tells its guest."""

load("//rules/private:debian_files.bzl", "debian_files")

def _decoders_impl(mctx):
    debian_files(
        name = "ktstr_decoders",
        lock = Label("//tools/decoders:debian.lock.json"),
        refresh = "decoders",
        target = "decoders",
    )
    return mctx.extension_metadata(reproducible = True)

decoders = module_extension(
    implementation = _decoders_impl,
    doc = "The repository `ktstr_decoders`: iasl and cpuid, and the C library that they run with.",
)
