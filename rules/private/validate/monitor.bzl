"""Whether what is sampled can be, and checks ask for nothing else."""

load(":over_time.bzl", "named_series")
load(":report.bzl", "error", "is_record", "nearest", "out_of_range", "unknown")
load(":units.bzl", "duration_error", "nanoseconds")

_MS = 1000000
_KEY_MAX = 18446744073709551615
_FIELDS = ["interval", "tasks", "series"]
_SERIES_FIELDS = ["name", "map", "field", "key", "of_all"]
_OF_ALL = ["sum", "min", "max"]

# Those without which nothing is sampled have nothing to judge.
_ON_SAMPLES = ["work_conserving", "max_imbalance", "max_dsq_depth", "max_fallback_rate", "max_keep_last_rate", "over_time"]

def monitor_errors(path, monitor):
    """Errors of the `monitor` of a test."""
    if type(monitor) == "bool":
        return []
    if not is_record(monitor, []):
        return [error(path, "{} is nothing to sample".format(repr(monitor)), "monitor(…), or False")]
    errors = [unknown(path, "field", field, _FIELDS) for field in monitor if field not in _FIELDS]
    for field in ["interval", "tasks"]:
        at = "{}.{}".format(path, field)
        wrong = duration_error(at, monitor[field]) if field in monitor else None
        if wrong:
            errors.append(wrong)
        elif field in monitor and (nanoseconds(monitor[field]) < _MS or nanoseconds(monitor[field]) > 10000 * _MS):
            errors.append(out_of_range(at, monitor[field], "1ms to 10s"))
    return errors + series_errors(path + ".series", monitor.get("series", []))

def series_errors(path, all):
    """Errors of a list of what `series(…)` returned."""
    if type(all) != "list":
        return [error(path, "{} is not a list".format(repr(all)), "such as [series(\"nr_queued\", map = \"bss\", field = \"nr_queued\")]")]
    errors, names = [], {}
    for i, one in enumerate(all):
        at = "{}[{}]".format(path, i)
        if not is_record(one, ["name", "map"]):
            errors.append(error(at, "{} is not a series".format(repr(one)), "such as series(\"nr_queued\", map = \"bss\", field = \"nr_queued\")"))
            continue
        errors.extend(_one_errors(at, one))
        if one["name"] in names:
            errors.append(error(at + ".name", "{} stands there twice".format(one["name"])))
        names[one["name"]] = True
    return errors

def _one_errors(path, one):
    errors = [unknown(path, "field", field, _SERIES_FIELDS) for field in one if field not in _SERIES_FIELDS]
    name = one["name"]
    if type(name) != "string" or not name or [c for c in name.elems() if not c.isalnum() and c != "_"]:
        errors.append(error(path + ".name", "{} is no name".format(repr(name)), "letters, digits, `_`"))
    for field in ["map", "field"]:
        if field in one and (type(one[field]) != "string" or not one[field]):
            errors.append(error("{}.{}".format(path, field), "{} is not a name".format(repr(one[field]))))
    key = one.get("key", 0)
    if type(key) != "int" or key < 0 or key > _KEY_MAX:
        errors.append(error(path + ".key", "{} is not a key".format(repr(key)), "a whole number of at most 64 bits"))
    if "of_all" in one and one["of_all"] not in _OF_ALL:
        errors.append(unknown(path + ".of_all", "choice", str(one["of_all"]), _OF_ALL))
    return errors

def on_samples_errors(path, checks, monitor, of_scheduler, known):
    """Errors of checks that look at what is not sampled.

    Args:
      path: of the checks
      checks: what `checks(…)` returned
      monitor: what the test says of it
      of_scheduler: series of the scheduler
      known: whether those are known

    Returns:
      a list of texts
    """
    if not is_record(checks, []):
        return []
    if monitor == False:
        problem = "the host has to look at the kernel for this, and monitor is False"
        asked = [name for name in _ON_SAMPLES if checks.get(name, False) != False]
        return [error("{}.{}".format(path, name), problem, "leave monitor away, or False here, too") for name in asked]
    own = monitor.get("series", []) if type(monitor) == "dict" else []
    names = [one["name"] for one in of_scheduler + (own if type(own) == "list" else []) if is_record(one, ["name"])]
    errors = []
    for at, name in named_series(checks):
        if name in names or not known:
            continue
        near = nearest(name, names) if type(name) == "string" else None
        hint = "did you mean `{}`?".format(near) if near else "there are: " + ", ".join(names)
        hint = hint if names else "monitor.series, or series of the scheduler, would have it"
        errors.append(error("{}.{}".format(path, at), "there is no series `{}`".format(name), hint))
    return errors
