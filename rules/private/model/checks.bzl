"""What is judged, and against what."""

def checks(**bounds):
    """Bounds by the name of their check; `False` switches a check off, one that is not named keeps its default.

    Gaps, latencies, spread and shares have a floor by clock and number of CPUs; a bound below it is refused when the cases are planned.

    Args:
      **bounds: of these names:
        `scheduler_alive`, `no_stall`, `no_error_log`: `True` or `False`; on by default where there is a scheduler under test
        `not_starved`: `True` or `False`; on by default
        `isolation`: `True` or `False`; on by default where a cpuset or an affinity is set
        `max_gap`: longest time between two iterations of a worker, such as `"500ms"`
        `max_spread`: largest difference of CPU time between workers of a group, as a part of their mean, such as `0.15`
        `weight_share`: largest distance of the CPU time of a worker or a cgroup from what its weight gives, as a part of that, such as `0.25`
        `min_work_rate`: iterations per second of each worker, such as `1000`
        `max_wakeup_latency`: `latency(…)`

    Returns:
      `checks` of a `ktstr_test`
    """
    return {name: bound for name, bound in bounds.items() if bound != None}

def latency(**bounds):
    """Largest wakeup latencies of each worker group, by percentile.

    Args:
      **bounds: of the names `p50`, `p99`, `p999` and `max`, each a duration such as `"5ms"`; at least one

    Returns:
      `max_wakeup_latency` of `checks`
    """
    return {name: bound for name, bound in bounds.items() if bound != None}
