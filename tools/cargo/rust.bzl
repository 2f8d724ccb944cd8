"""The Rust of this machine as a repository, and what else builds need of the machine."""

_RUST = """\
\"\"\"The Rust of this machine: part of the key of every action that uses it.\"\"\"

RUST_BIN = "{bin}"

RUST_VERSION = "{version}"
"""

_INSTALL_RUST = "install Rust {} or newer (`apt-get install rustc cargo`, `rustup update`, or https://rustup.rs), or use ./bazelw without a Bazel on PATH, which brings its own"

def run(rctx, arguments, doing):
    """What a program prints; an error with all that it said if it fails.

    Args:
      rctx: the repository context
      arguments: the program and its arguments
      doing: what it is called for, for the message
    """
    result = rctx.execute(arguments, timeout = 900)
    if result.return_code != 0:
        fail("could not {}:\n{}\n{}".format(doing, result.stdout, result.stderr))
    return result.stdout.strip()

def version_is_at_least(seen, wanted):
    """Whether a version such as `1.90.0` is another one, such as `1.90`, or newer.

    Args:
      seen: the version
      wanted: the least one
    """
    parts = [[int(part) for part in version.split("-")[0].split(".")] for version in [seen, wanted]]
    return parts[0] >= parts[1]

def _wanted_version(rctx):
    for line in rctx.read(rctx.attr.manifest).split("\n"):
        if line.startswith("rust-version = "):
            return line.split("\"")[1]
    fail("Cargo.toml has no line `rust-version = \"...\"`")

def _check_version(rctx, said, rustc):
    wanted = _wanted_version(rctx)
    seen = said.split(" ")[1]
    if not version_is_at_least(seen, wanted):
        fail("Rust is too old: {} is {}; rust-version in Cargo.toml wants {}: {}".format(rustc, seen, wanted, _INSTALL_RUST.format(wanted)))

def _check_c(rctx):
    """Some crates have C in them, and every program is linked statically."""
    install = "install a C compiler and a static C library (`apt-get install gcc libc6-dev`; `dnf install gcc glibc-static`)"
    cc = rctx.which("cc")
    if not cc:
        fail("no C compiler: there is no cc on PATH, which is {}: {}".format(rctx.getenv("PATH"), install))

    # The compiler repeats the name of a file that it does not find.
    if run(rctx, [cc, "-print-file-name=libc.a"], "ask cc for the static C library") == "libc.a":
        fail("no static C library: {} does not find libc.a: {}".format(cc, install))

def _rust_impl(rctx):
    _check_c(rctx)
    rustc = rctx.which("rustc")
    if not rustc:
        fail("no Rust: there is no rustc on PATH, which is {}: {}".format(rctx.getenv("PATH"), _INSTALL_RUST.format(_wanted_version(rctx))))

    # The real programs: those of rustup are only proxies, which need an environment.
    rust_bin = run(rctx, [rustc, "--print", "sysroot"], "ask rustc for its directory") + "/bin"
    rctx.watch(rust_bin + "/rustc")
    settings = (rctx.getenv("RUSTUP_HOME") or (rctx.getenv("HOME") or "") + "/.rustup") + "/settings.toml"
    if settings.startswith("/"):
        # `rustup default` writes it.
        rctx.watch(settings)
    said = run(rctx, [rust_bin + "/rustc", "--version"], "ask rustc for its version")
    _check_version(rctx, said, rust_bin + "/rustc")
    rctx.file("BUILD.bazel", "")
    rctx.file("rust.bzl", _RUST.format(bin = rust_bin, version = said))

rust_of_machine = repository_rule(
    implementation = _rust_impl,
    doc = "`rust.bzl` says where Rust's programs are, and their version; made again when they change.",
    attrs = {
        "manifest": attr.label(doc = "Cargo.toml, which says what version is the least.", mandatory = True),
    },
    environ = ["PATH"],
)
