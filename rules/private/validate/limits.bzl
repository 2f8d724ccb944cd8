"""Ranges of the plain numbers of a declaration."""

load(":report.bzl", "error", "is_number", "is_record", "out_of_range", "show")
load(":units.bzl", "HOLD_SECONDS_MAX", "duration_error", "interval_errors", "nanoseconds")

_MS = 1000000
_PAIRS = ["pipe_ping_pong", "futex_ping_pong", "racy_counter"]
_WORK = ["cpu_spin", "yield_heavy", "bursty"] + _PAIRS
_POLICIES = ["other", "batch", "idle", "fifo", "rr"]
_PRIORITY_MAX = 98

def integer_errors(path, value, least, most, range):
    """Errors if a value is not a whole number from least to most (None: no upper end)."""
    if type(value) == "int" and value >= least and (most == None or value <= most):
        return []
    return [out_of_range(path, value if is_number(value) else repr(value), range)]

def weight_errors(path, weight):
    """Errors if a value is not a `cpu.weight`."""
    return integer_errors(path, weight, 1, 10000, "cpu.weight is 1 to 10000")

def cpu_max_errors(path, limit):
    """Errors if a value is not a limit of CPU time."""
    if not is_record(limit, ["quota", "period"]):
        return [error(path, "{} is not a limit of CPU time".format(repr(limit)), "such as cpu_max(\"50ms\", \"100ms\")")]
    quota, period = limit["quota"], limit["period"]
    errors = [wrong for wrong in [duration_error(path + ".period", period), duration_error(path + ".quota", quota)] if wrong]
    if errors:
        return errors
    if nanoseconds(period) < _MS or nanoseconds(period) > 1000 * _MS:
        errors.append(out_of_range(path + ".period", period, "1ms to 1s"))
    if nanoseconds(quota) < _MS:
        errors.append(out_of_range(path + ".quota", quota, "at least 1ms"))
    return errors

def hold_seconds_errors(path, seconds):
    """Errors if a step cannot last so long."""
    if is_number(seconds) and seconds > 0 and seconds <= HOLD_SECONDS_MAX:
        return []
    return [out_of_range(path, show(seconds), "above 0, at most {} seconds".format(HOLD_SECONDS_MAX))]

def _kind(value):
    """The name of a choice: the text itself, or the only key."""
    if type(value) == "dict" and len(value) == 1:
        return value.keys()[0]
    return value if type(value) == "string" else None

def workers_errors(path, group):
    """Errors of a worker group, but for its affinity."""
    if not is_record(group, ["workers", "work"]):
        return [error(path, "{} is not a worker group".format(repr(group)), "such as workers(2, work.cpu_spin())")]
    work = _kind(group["work"])
    if work not in _WORK:
        return [error(path + ".work", "{} is not work".format(repr(group["work"])), "such as work.cpu_spin()")]
    return (
        _count_errors(path + ".workers", group["workers"], work) +
        (_bursty_errors(path + ".work.bursty", group["work"]["bursty"]) if work == "bursty" else []) +
        (_policy_errors(path + ".policy", group["policy"]) if "policy" in group else []) +
        (integer_errors(path + ".nice", group["nice"], -20, 19, "-20 to 19") if "nice" in group else [])
    )

def _count_errors(path, workers, work):
    errors = integer_errors(path, workers, 1, None, "at least 1")
    if errors or work not in _PAIRS or workers % 2 == 0:
        return errors
    hint = "{} or {} would do".format(workers - 1, workers + 1) if workers > 1 else "2 would do"
    return [error(path, "{} workers for {}, which works in groups of 2".format(workers, work), hint)]

def _bursty_errors(path, bursty):
    return interval_errors(path + ".burst", bursty["burst"]) + interval_errors(path + ".sleep", bursty["sleep"])

def _policy_errors(path, policy):
    kind = _kind(policy)
    if kind not in _POLICIES:
        return [error(path, "{} is not a policy".format(repr(policy)), "such as policy.fifo(1)")]
    if kind not in ["fifo", "rr"]:
        return []
    return integer_errors(path, policy[kind], 1, _PRIORITY_MAX, "a priority is 1 to {}".format(_PRIORITY_MAX))
