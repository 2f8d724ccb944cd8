"""Whether the cases of a test fit its timeout. Bazel's timeout is the only one."""

load("//rules/private/validate:report.bzl", "error", "show")
load("//rules/private/validate:units.bzl", "nanoseconds")

# Bazel's timeouts in seconds, and which one goes with which size.
_TIMEOUTS = {"short": 60, "moderate": 300, "long": 900, "eternal": 3600}
_OF_SIZE = {"small": "short", "medium": "moderate", "large": "long", "enormous": "eternal"}

# What a case takes by experience, on a host that has nothing else to do: seconds until it runs, and host seconds for a second of
# guest time.
_START_SECONDS = {"boot": 10, "snapshot": 2}
_ATTACH_SECONDS = 10
_HOST_PER_GUEST = 4

_NS = 1000000000

def _guest_ns(scenario):
    """Guest time of one case."""
    total = 0
    for step in scenario:
        loop = step["hold"].get("loop")
        total += loop["times"] * nanoseconds(loop["every"]) if loop else int(step["hold"]["seconds"] * _NS)
    return total

def _up(a, b):
    return -(-a // b)

def planned_time(spec, size, timeout, shard_count, start = None):
    """Size and timeout of a test, and whether its guest time fits.

    Args:
      spec: a valid declaration, with `flags` and `scheduler`
      size: Bazel's, or None: medium
      timeout: Bazel's, or None: that of the size; without a size the shortest from moderate on that seems enough
      shard_count: Bazel's, or None: 1
      start: `"boot"`, `"attach"`; else a snapshot

    Returns:
      a struct: `size`, `timeout` (None: that of the size), `errors`
    """
    guest = _guest_ns(spec["scenario"])
    all_cases = len(spec.get("topologies", [None])) * len(spec.get("flags", [None])) * (spec.get("seeds") or 1)
    shards = max(1, shard_count or 1)
    cases = _up(all_cases, shards)
    if not size and not timeout:
        needed = cases * (_start_seconds(start, spec.get("scheduler")) + _up(_HOST_PER_GUEST * guest, _NS))
        fitting = [name for name in ["moderate", "long"] if _TIMEOUTS[name] >= needed]
        timeout = fitting[0] if fitting else "eternal"
    name = timeout or _OF_SIZE.get(size)
    errors = []
    if name in _TIMEOUTS and cases * guest > _TIMEOUTS[name] * _NS:
        errors = [error(
            "timeout",
            "{} is {} seconds, a shard with {} of {} guest seconds is at least {}".format(
                name,
                _TIMEOUTS[name],
                "1 case" if cases == 1 else "{} cases".format(cases),
                show(1.0 * guest / _NS),
                show(1.0 * cases * guest / _NS),
            ),
            _remedy(cases, all_cases, guest),
        )]
    return struct(errors = errors, size = size or "medium", timeout = timeout)

def _start_seconds(start, scheduler):
    boots = _START_SECONDS["boot" if start == "boot" else "snapshot"]
    return boots + (_ATTACH_SECONDS if scheduler and start in ["attach", "boot"] else 0)

def _remedy(cases, all_cases, guest):
    """What would make the cases fit."""
    remedies = []
    for name, seconds in _TIMEOUTS.items():
        if cases * guest <= seconds * _NS:
            remedies.append("timeout = \"{}\"".format(name))
            break
    at_once = _TIMEOUTS["eternal"] * _NS // guest
    if cases > 1 and at_once and _up(all_cases, at_once) > 1:
        remedies.append("shard_count = {} with timeout = \"eternal\"".format(_up(all_cases, at_once)))
    return ", ".join(remedies + ["shorter holds"]) + " would do"
