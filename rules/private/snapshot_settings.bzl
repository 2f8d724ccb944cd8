"""Which snapshots a test starts from. A snapshot is a machine that booted once.

There is one target for all of them, `//rules/private:snapshot`. What it is of stands in two build settings, which a test sets for
each of its topologies (`snapshots`). So tests of all packages that want the same machine share one action and its output, and
nothing needs a name.

Everything that a snapshot depends on is built under the settings as they are without it (`without_snapshot`): kernels and programs
are not built once more for each snapshot.
"""

load("//rules/private/validate:report.bzl", "error")
load("//rules/private/validate:topologies.bzl", "clock_of", "label_of")

# JSON: backend, clock, kernel_args, topology; or nothing.
_OF = "//rules/private:snapshot_of"

# Label of a kernel.
_KERNEL = "//rules/private:snapshot_kernel"
_NO_KERNEL = Label("//rules/private:no_kernel")

# Back ends that can save machines.
_SAVING = ["tcg"]

def _without_snapshot_impl(_settings, _attr):
    return {_KERNEL: _NO_KERNEL, _OF: ""}

without_snapshot = transition(
    implementation = _without_snapshot_impl,
    inputs = [],
    outputs = [_KERNEL, _OF],
)

def start_of(start, backend):
    """Where cases start: `snapshot` or `boot`.

    Args:
      start: what the test says, or None
      backend: what runs the machines

    Returns:
      `snapshot`, unless the test or the back end do not want it
    """
    return start or ("snapshot" if backend in _SAVING else "boot")

def start_errors(start, backend):
    """What is wrong with where a test wants its cases to start."""
    if start_of(start, backend) == "boot" or backend in _SAVING:
        return []
    return [error("start", "the back end {} cannot save machines".format(backend), "start = \"boot\" would do")]

def backend_of(asked, setting, default):
    """The back end: what a test insists on, else the setting, which may leave it to the platform."""
    backend = asked or setting
    return default if backend == "auto" else backend

def _snapshots_impl(settings, attr):
    spec = json.decode(attr.spec)
    backend = backend_of(attr.backend, settings["//rules:backend"], attr.default_backend)
    if start_of(attr.start, backend) == "boot" or start_errors(attr.start, backend):
        return {"none": {_KERNEL: _NO_KERNEL, _OF: ""}}
    asked = attr.clock or settings["//rules:clock"]
    return {
        label_of(topology): {
            _KERNEL: attr.kernel,
            _OF: json.encode({
                "backend": backend,
                "clock": clock_of(topology, asked, backend),
                "kernel_args": spec.get("kernel_args", []),
                "topology": topology,
            }),
        }
        for topology in spec["topologies"]
    }

# For the attribute of a test: one snapshot for each topology, by its label.
snapshots = transition(
    implementation = _snapshots_impl,
    inputs = ["//rules:backend", "//rules:clock"],
    outputs = [_KERNEL, _OF],
)
