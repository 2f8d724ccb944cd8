"""Whether bounds can be."""

load(":limits.bzl", "integer_errors")
load(":over_time.bzl", "over_time_errors", "samples_errors")
load(":report.bzl", "error", "is_number", "is_record", "out_of_range", "show", "unknown")
load(":units.bzl", "duration_error", "nanoseconds")

_COUNT_MAX = 4294967295
_SWITCHES = ["scheduler_alive", "no_stall", "no_error_log", "not_starved", "isolation", "may_lack"]
_CHECKS = _SWITCHES + [
    "max_gap",
    "max_spread",
    "weight_share",
    "min_work_rate",
    "max_wakeup_latency",
    "work_conserving",
    "max_imbalance",
    "max_dsq_depth",
    "max_fallback_rate",
    "max_keep_last_rate",
    "over_time",
]
_PERCENTILES = ["p50", "p99", "p999", "max"]

def checks_errors(path, checks):
    """Errors of what `checks(…)` returned."""
    if not is_record(checks, []):
        return [error(path, "{} is not a set of checks".format(repr(checks)), "such as checks(max_gap = \"500ms\")")]
    errors = []
    for name, bound in checks.items():
        at = "{}.{}".format(path, name)
        if name not in _CHECKS:
            errors.append(unknown(path, "check", name, _CHECKS))
        elif name in _SWITCHES:
            if type(bound) != "bool":
                errors.append(error(at, "{} is not a switch".format(repr(bound)), "True or False"))
        elif bound == True:
            errors.append(error(at, "True is not a bound", "a bound, or False"))
        elif bound != False:
            errors.extend(_BOUNDS[name](at, bound))
    return errors

def _gap_errors(path, gap):
    wrong = duration_error(path, gap)
    if wrong:
        return [wrong]
    return [] if nanoseconds(gap) > 0 else [out_of_range(path, gap, "above 0")]

def _part_errors(path, part):
    return [] if is_number(part) and part >= 0 else [out_of_range(path, show(part), "0 or more")]

def _rate_errors(path, rate):
    return [] if is_number(rate) and rate > 0 else [out_of_range(path, show(rate), "above 0 iterations per second")]

def _latency_errors(path, bounds):
    if not is_record(bounds, []):
        return [error(path, "{} is not a set of latencies".format(repr(bounds)), "such as latency(p99 = \"5ms\")")]
    if not bounds:
        return [error(path, "bounds nothing", "at least one of " + ", ".join(_PERCENTILES))]
    errors = []
    for name, bound in bounds.items():
        if name in _PERCENTILES:
            wrong = duration_error("{}.{}".format(path, name), bound)
            errors.extend([wrong] if wrong else [])
        else:
            errors.append(unknown(path, "percentile", name, _PERCENTILES))
    return errors

def _events_errors(path, rate):
    return [] if is_number(rate) and rate >= 0 else [out_of_range(path, show(rate), "0 or more events per second")]

def _sustained_errors(path, most):
    if not is_record(most, ["bound", "samples"]):
        return [error(path, "{} is not a bound for samples in a row".format(repr(most)), "such as sustained(2, samples = 10)")]
    return (
        integer_errors(path + ".bound", most["bound"], 0, _COUNT_MAX, "0 or more") +
        samples_errors(path + ".samples", most["samples"])
    )

_BOUNDS = {
    "max_dsq_depth": _sustained_errors,
    "max_fallback_rate": _events_errors,
    "max_gap": _gap_errors,
    "max_imbalance": _sustained_errors,
    "max_keep_last_rate": _events_errors,
    "max_spread": _part_errors,
    "max_wakeup_latency": _latency_errors,
    "min_work_rate": _rate_errors,
    "over_time": over_time_errors,
    "weight_share": _part_errors,
    "work_conserving": _gap_errors,
}
