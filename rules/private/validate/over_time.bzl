"""Whether what holds over time can be, and the series that it names."""

load(":report.bzl", "error", "is_number", "out_of_range", "show", "unknown")
load(":units.bzl", "duration_error", "nanoseconds")

_METRICS = ["nr_running", "imbalance", "idle_cpus", "dsq_depth", "local_dsq_depth", "waiting"]
_EVENT = "event:SCX_EV_"
_SERIES = "series:"
_KEY_MAX = 18446744073709551615

def _metric_errors(path, metric):
    if type(metric) != "string":
        return [error(path, "{} is not a metric".format(repr(metric)), "such as metric.imbalance")]
    named = [start for start in [_EVENT, _SERIES] if metric.startswith(start) and len(metric) > len(start)]
    if metric in _METRICS or named:
        return []
    return [unknown(path, "metric", metric, _METRICS + [_EVENT + "…", _SERIES + "NAME"])]

def _amount(value):
    return value if is_number(value) else nanoseconds(value)

def _amount_errors(path, value):
    if _amount(value) != None:
        return []
    return [error(path, "{} is not an amount".format(repr(value)), "a number, or a duration such as \"20ms\"")]

def _distance_errors(path, value):
    if _amount(value) != None and _amount(value) < 0:
        return [out_of_range(path, show(value), "0 or more")]
    return _amount_errors(path, value)

def _time_errors(path, value):
    wrong = duration_error(path, value)
    return [wrong] if wrong else []

def samples_errors(path, samples):
    """Errors if a value is not a number of samples in a row."""
    if type(samples) == "int" and samples >= 1:
        return []
    return [out_of_range(path, show(samples), "at least 1 sample in a row")]

def _name_errors(path, name):
    if type(name) == "string" and name:
        return []
    return [error(path, "{} is not the name of a series".format(repr(name)), "that of a series(…)")]

def _dsqs_errors(path, dsqs):
    if type(dsqs) != "list" or [id for id in dsqs if type(id) != "int" or id < 0 or id > _KEY_MAX]:
        return [error(path, "{} is not a list of numbers of dispatch queues".format(repr(dsqs)), "such as [0, 1]")]
    return []

_RANGE = {"high": _amount_errors, "low": _amount_errors}

# Each kind: fields that have to be there, and those that may.
_KINDS = {
    "bounded": ({"metric": _metric_errors}, dict(_RANGE, samples = samples_errors)),
    "equals_sum_of_dsq": ({"series": _name_errors}, {"dsqs": _dsqs_errors, "samples": samples_errors}),
    "near_now": ({"series": _name_errors, "within": _distance_errors}, {"clock": _name_errors, "samples": samples_errors}),
    "never_decreases": ({"metric": _metric_errors}, {}),
    "rate": ({"metric": _metric_errors}, _RANGE),
    "ratio": ({"a": _metric_errors, "b": _metric_errors}, _RANGE),
    "settles": ({"metric": _metric_errors, "to": _amount_errors, "within": _time_errors}, {"samples": samples_errors}),
}

def over_time_errors(path, holds):
    """Errors of the `over_time` of checks."""
    if type(holds) != "list":
        return [error(path, "{} is not a list".format(repr(holds)), "such as [over_time.never_decreases(metric.nr_running)]")]
    errors = []
    for i, one in enumerate(holds):
        errors.extend(_one_errors("{}[{}]".format(path, i), one))
    return errors

def _one_errors(path, one):
    kind = one.keys()[0] if type(one) == "dict" and len(one) == 1 else None
    if kind not in _KINDS or type(one[kind]) != "dict":
        return [error(path, "{} does not say what holds".format(repr(one)), "such as over_time.bounded(metric.imbalance, high = 2)")]
    fields, (required, optional) = one[kind], _KINDS[kind]
    path = "{}.{}".format(path, kind)
    errors = [error("{}.{}".format(path, field), "is not there") for field in required if field not in fields]
    known = required | optional
    for field, value in fields.items():
        if field in known:
            errors.extend(known[field]("{}.{}".format(path, field), value))
        else:
            errors.append(unknown(path, "field", field, known.keys()))
    if errors or "high" not in known:
        return errors
    low, high = _amount(fields.get("low")), _amount(fields.get("high"))
    if low == None and high == None:
        return [error(path + ".high", "bounds nothing", "low, high or both")]
    if low != None and high != None and low > high:
        return [error(path + ".high", "{} is below low, which is {}".format(fields["high"], fields["low"]))]
    return []

def named_series(checks):
    """The series that checks name, each as a tuple of the path below `checks` and the name."""
    named = []
    holds = checks.get("over_time") or []
    for i, one in enumerate(holds if type(holds) == "list" else []):
        for kind, fields in (one.items() if type(one) == "dict" else []):
            for field, value in (fields.items() if type(fields) == "dict" else []):
                path = "over_time[{}].{}.{}".format(i, kind, field)
                if field in ["series", "clock"]:
                    named.append((path, value))
                elif field in ["metric", "a", "b"] and type(value) == "string" and value.startswith(_SERIES):
                    named.append((path, value[len(_SERIES):]))
    return named
