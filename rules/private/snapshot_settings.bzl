"""Which snapshots a test starts from. A snapshot is a machine that booted once.

There is one target for all of them, `//rules/private:snapshot`. What it is of stands in build settings, which a test sets for
each of its topologies (`snapshots`). A test whose topology is that of its scheduler names the scheduler instead. So tests of all packages that want the same machine share one action and its output, and
nothing needs a name.

Everything that a snapshot depends on is built under the settings as they are without it (`without_snapshot`): kernels and programs
are not built once more for each snapshot.
"""

load("//rules/private/validate:topologies.bzl", "clock_of", "label_of")

# JSON: backend, clock, kernel_args, and topology unless it is that of the scheduler; or nothing.
_OF = "//rules/private:snapshot_of"

# Label of a kernel.
_KERNEL = "//rules/private:snapshot_kernel"
_NO_KERNEL = Label("//rules/private:no_kernel")

# Label of a scheduler.
_SCHEDULER = "//rules/private:snapshot_scheduler"
_NO_SCHEDULER = Label("//rules/private:no_scheduler")

_NOTHING = {_KERNEL: _NO_KERNEL, _OF: "", _SCHEDULER: _NO_SCHEDULER}

# Key of the only snapshot of a test whose topology is that of its scheduler.
INHERITED = "inherited"

def _without_snapshot_impl(_settings, _attr):
    return _NOTHING

without_snapshot = transition(
    implementation = _without_snapshot_impl,
    inputs = [],
    outputs = _NOTHING.keys(),
)

def start_of(start, backend):
    """Where cases start: `snapshot`, `attach` or `boot`.

    On KVM a kernel boots in a fraction of a second, and a snapshot needs KVM where the build runs, which may be elsewhere than the tests.

    Args:
      start: what the test says, or nothing
      backend: what runs the machines
    """
    return start or ("boot" if backend == "kvm" else "snapshot")

def backend_of(asked, setting, default, clock):
    """The back end.

    Args:
      asked: what a test insists on, or nothing
      setting: what the build says where tests do not insist
      default: what `auto` is on the platform
      clock: what is said of the clock, by the test or by the setting
    """
    backend = asked or setting
    if backend != "auto":
        return backend
    return "tcg" if clock == "virtual" else default

def _of(settings, attr):
    """What the machines of a test have in common, in an attribute's or the settings' words."""
    clock = attr.clock or settings["//rules:clock"]
    return {
        "backend": backend_of(attr.backend, settings["//rules:backend"], attr.default_backend, clock),
        "clock": clock,
        "kernel_args": json.decode(attr.spec).get("kernel_args", []),
    }

def machine_of(of, topology):
    """What a snapshot is of, with its topology: now its clock is known, too."""
    return dict(of, clock = clock_of(topology, of["clock"], of["backend"]), topology = topology)

def _machines(settings, attr, starts):
    """What the snapshots of a test are of, by the label of the topology; empty if it starts in another way."""
    of = _of(settings, attr)
    if start_of(attr.start, of["backend"]) not in starts:
        return {}
    spec = json.decode(attr.spec)
    if "topologies" not in spec:
        return {INHERITED: of}
    return {label_of(topology): machine_of(of, topology) for topology in spec["topologies"]}

def _snapshots_impl(settings, attr):
    return {
        label: {_KERNEL: attr.kernel, _OF: json.encode(of), _SCHEDULER: attr.scheduler if label == INHERITED else _NO_SCHEDULER}
        for label, of in _machines(settings, attr, ["attach", "snapshot"]).items()
    } or {"none": _NOTHING}

# For the attribute of a test: one snapshot for each topology, by its label, or the one by `INHERITED`.
snapshots = transition(
    implementation = _snapshots_impl,
    inputs = ["//rules:backend", "//rules:clock"],
    outputs = _NOTHING.keys(),
)

def _attached_snapshots_impl(settings, attr):
    machines = _machines(settings, attr, ["snapshot"]) if attr.scheduler != _NO_SCHEDULER else {}
    profiles = json.decode(attr.flags) if attr.flags else [[]]
    return {
        "{}/{}".format(label, i): {_KERNEL: attr.kernel, _OF: json.encode(dict(of, profile = profile)), _SCHEDULER: attr.scheduler}
        for label, of in machines.items()
        for i, profile in enumerate(profiles)
    } or {"none": _NOTHING}

# For the attribute of a test: one snapshot for each topology and flag profile, by the label of the one and the index of the other.
attached_snapshots = transition(
    implementation = _attached_snapshots_impl,
    inputs = ["//rules:backend", "//rules:clock"],
    outputs = _NOTHING.keys(),
)

def _without_scheduler_impl(settings, _attr):
    of = json.decode(settings[_OF]) if settings[_OF] else {}
    of = {field: value for field, value in of.items() if field != "profile"}
    return {
        _KERNEL: settings[_KERNEL],
        _OF: json.encode(of) if of else "",
        _SCHEDULER: _NO_SCHEDULER if "topology" in of or not of else settings[_SCHEDULER],
    }

# From a snapshot with a scheduler to the one that it starts from, which tests without that scheduler share.
without_scheduler = transition(
    implementation = _without_scheduler_impl,
    inputs = _NOTHING.keys(),
    outputs = _NOTHING.keys(),
)
