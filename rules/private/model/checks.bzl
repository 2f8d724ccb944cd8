"""What is judged, and against what."""

def checks(**bounds):
    """Bounds by the name of their check; `False` switches a check off, one that is not named keeps its default.

    Gaps, latencies, spread and shares have a floor by clock and number of CPUs; a bound below it is refused when the cases are planned.

    Args:
      **bounds: of these names:
        `scheduler_alive`, `no_stall`, `no_error_log`: `True` or `False`; on by default where there is a scheduler under test
        `not_starved`: `True` or `False`; on by default. Every worker runs, and no task of the guest, kernel threads too, waits too long
        `isolation`: `True` or `False`; on by default where a cpuset or an affinity is set
        `max_gap`: longest time between two iterations of a worker, such as `"500ms"`
        `max_spread`: largest difference of CPU time between workers of a group, as a part of their mean, such as `0.15`
        `weight_share`: largest distance of the CPU time of a worker or a cgroup from what its weight gives, as a part of that, such as `0.25`
        `min_work_rate`: iterations per second of each worker, such as `1000`
        `max_wakeup_latency`: `latency(…)`
        `work_conserving`: longest time for which a CPU is idle while a task that may run there waits, such as `"20ms"`
        `max_imbalance`: largest difference of runnable tasks between CPUs, such as `sustained(2, samples = 10)`
        `max_dsq_depth`: most tasks in a dispatch queue that is not a local one, such as `sustained(50, samples = 10)`
        `max_fallback_rate`: most `SCX_EV_SELECT_CPU_FALLBACK` a second, such as `10`
        `max_keep_last_rate`: most `SCX_EV_DISPATCH_KEEP_LAST` a second, such as `100`
        `over_time`: what holds for metrics, a list such as `[over_time.bounded(metric.imbalance, high = 4)]`; lists of the scheduler and of the
          test are joined
        `may_lack`: `True`: checks of samples pass where there can be none, since the kernel lacks what they need or cannot be looked at

    Returns:
      `checks` of a `ktstr_test`
    """
    return {name: bound for name, bound in bounds.items() if bound != None}

def sustained(bound, samples):
    """A bound that is passed only if that many samples in a row pass it.

    Args:
      bound: the most that is all right, a whole number
      samples: in a row, at least 1; there is one every 10 ms unless `monitor` says otherwise

    Returns:
      `max_imbalance` or `max_dsq_depth` of `checks`
    """
    return {"bound": bound, "samples": samples}

def latency(**bounds):
    """Largest wakeup latencies of each worker group, by percentile.

    Args:
      **bounds: of the names `p50`, `p99`, `p999` and `max`, each a duration such as `"5ms"`; at least one

    Returns:
      `max_wakeup_latency` of `checks`
    """
    return {name: bound for name, bound in bounds.items() if bound != None}
