"""What holds for metrics over the time of each step.

Where `samples` is given, only so many samples in a row break it. An amount is a number, or a duration such as `"20ms"` where a metric is a time.
"""

load(":topology.bzl", "without_none")

def _settles(metric, to, within, samples = None):
    """From the time `within` after the start of the step on, a metric is at most `to`."""
    return {"settles": without_none(metric = metric, samples = samples, to = to, within = within)}

def _never_decreases(metric):
    """No sample has less than the one before."""
    return {"never_decreases": {"metric": metric}}

def _bounded(metric, low = None, high = None, samples = None):
    """A metric is from `low` to `high`; one of them may be left out."""
    return {"bounded": without_none(high = high, low = low, metric = metric, samples = samples)}

def _rate(metric, low = None, high = None):
    """What a metric grows by in a second, over the whole step, is from `low` to `high`; one of them may be left out."""
    return {"rate": without_none(high = high, low = low, metric = metric)}

def _ratio(a, b, low = None, high = None):
    """Metric `a` divided by metric `b`: of events what they grow by in the step, of all else their means."""
    return {"ratio": without_none(a = a, b = b, high = high, low = low)}

def _equals_sum_of_dsq(series, dsqs = None, samples = None):
    """A series is the number of tasks in these dispatch queues together, by default in all of the scheduler's own."""
    return {"equals_sum_of_dsq": without_none(dsqs = dsqs or None, samples = samples, series = series)}

def _near_now(series, within, clock = None, samples = None):
    """A series, 64 bits that may wrap, is at most `within` before or behind the clock of the runqueues, or another series (`clock`)."""
    return {"near_now": without_none(clock = clock, samples = samples, series = series, within = within)}

over_time = struct(
    bounded = _bounded,
    equals_sum_of_dsq = _equals_sum_of_dsq,
    near_now = _near_now,
    never_decreases = _never_decreases,
    rate = _rate,
    ratio = _ratio,
    settles = _settles,
)
