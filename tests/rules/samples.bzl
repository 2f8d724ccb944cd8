"""Refusals of what is sampled, and of checks on samples."""

load("//rules:defs.bzl", "checks", "metric", "monitor", "over_time", "series", "sustained")
load("//rules/private:under_test.bzl", "sampled_errors")  # buildifier: disable=bzl-visibility
load(":refusals.bzl", "refusal")

_QUEUED = series("nr_queued", field = "nr_queued", map = "bss")
_NOT_SAMPLED = "the host has to look at the kernel for this, and monitor is False; leave monitor away, or False here, too"

def _holds(*holds):
    """Everything that is wrong with what holds over time, where `nr_queued` is sampled."""
    return refusal(checks = checks(over_time = list(holds)), monitor = monitor(series = [_QUEUED]))

def _under(declared, **fields):
    """What is wrong with a test under a scheduler that brings these fields."""
    return sampled_errors(declared, struct(declared = {"name": "s"} | fields, program = "scx_s"))

MONITORS = {
    "can be": (
        refusal(monitor = monitor(
            interval = "5ms",
            series = [
                _QUEUED,
                series("of_1", key = 1, map = "hash", of_all = "sum"),
            ],
            tasks = "50ms",
        )) + refusal(monitor = False),
        [],
    ),
    "not a monitor": (refusal(monitor = "10ms"), ["monitor: \"10ms\" is nothing to sample; monitor(…), or False"]),
    "series": (
        refusal(monitor = monitor(series = [
            _QUEUED,
            _QUEUED,
            series("a b", field = 1, key = -1, map = "", of_all = "mean"),
            "nr_queued",
        ])),
        [
            "monitor.series[1].name: nr_queued stands there twice",
            "monitor.series[2].name: \"a b\" is no name; letters, digits, `_`",
            "monitor.series[2].map: \"\" is not a name",
            "monitor.series[2].field: 1 is not a name",
            "monitor.series[2].key: -1 is not a key; a whole number of at most 64 bits",
            "monitor.series[2].of_all: unknown choice `mean`; did you mean `min`?",
            "monitor.series[3]: \"nr_queued\" is not a series; such as series(\"nr_queued\", map = \"bss\", field = \"nr_queued\")",
        ],
    ),
    "times": (
        refusal(monitor = monitor(interval = "1us", tasks = "1 s")),
        [
            "monitor.interval: 1us is out of range; 1ms to 10s",
            "monitor.tasks: `1 s` is not a duration, such as \"500us\", \"5ms\" or \"2s\"",
        ],
    ),
}

ON_SAMPLES = {
    "bounds": (
        refusal(checks = checks(
            max_dsq_depth = sustained(-1, samples = 0),
            max_fallback_rate = -1,
            max_imbalance = 2,
            may_lack = "yes",
            work_conserving = "0ms",
        )),
        [
            "checks.max_dsq_depth.bound: -1 is out of range; 0 or more",
            "checks.max_dsq_depth.samples: 0 is out of range; at least 1 sample in a row",
            "checks.max_fallback_rate: -1 is out of range; 0 or more events per second",
            "checks.max_imbalance: 2 is not a bound for samples in a row; such as sustained(2, samples = 10)",
            "checks.may_lack: \"yes\" is not a switch; True or False",
            "checks.work_conserving: 0ms is out of range; above 0",
        ],
    ),
    "can be": (
        _holds(
            over_time.settles(metric.imbalance, to = 1, within = "200ms", samples = 3),
            over_time.never_decreases(metric.event("SCX_EV_X")),
            over_time.bounded(metric.waiting, high = "1s"),
            over_time.rate(metric.series("nr_queued"), low = -1.5, high = 2),
            over_time.ratio(metric.idle_cpus, metric.nr_running, high = 1),
            over_time.equals_sum_of_dsq("nr_queued", dsqs = [0], samples = 3),
            over_time.near_now("nr_queued", within = "1s", clock = "nr_queued"),
        ),
        [],
    ),
    "not sampled": (
        refusal(
            checks = checks(max_dsq_depth = False, max_imbalance = sustained(2, samples = 3), over_time = []),
            monitor = False,
        ),
        ["checks.{}: {}".format(name, _NOT_SAMPLED) for name in ["max_imbalance", "over_time"]],
    ),
    "over time": (
        _holds(
            over_time.settles("imbalanc", to = "x", within = 1),
            over_time.bounded(metric.nr_running),
            over_time.rate(metric.nr_running, high = 1, low = "2ns"),
            over_time.near_now("nr_queued", within = -1, samples = 0),
            over_time.equals_sum_of_dsq(1, dsqs = [-1]),
            {"bounded": {"metrik": "waiting"}},
            "bounded",
        ),
        [
            "checks.over_time[0].settles.metric: unknown metric `imbalanc`; did you mean `imbalance`?",
            "checks.over_time[0].settles.to: \"x\" is not an amount; a number, or a duration such as \"20ms\"",
            "checks.over_time[0].settles.within: `1` is not a duration, such as \"500us\", \"5ms\" or \"2s\"",
            "checks.over_time[1].bounded.high: bounds nothing; low, high or both",
            "checks.over_time[2].rate.high: 1 is below low, which is 2ns",
            "checks.over_time[3].near_now.samples: 0 is out of range; at least 1 sample in a row",
            "checks.over_time[3].near_now.within: -1 is out of range; 0 or more",
            "checks.over_time[4].equals_sum_of_dsq.dsqs: [-1] is not a list of numbers of dispatch queues; such as [0, 1]",
            "checks.over_time[4].equals_sum_of_dsq.series: 1 is not the name of a series; that of a series(…)",
            "checks.over_time[5].bounded.metric: is not there",
            "checks.over_time[5].bounded: unknown field `metrik`; did you mean `metric`?",
            "checks.over_time[6]: \"bounded\" does not say what holds; such as over_time.bounded(metric.imbalance, high = 2)",
            "checks.over_time[4].equals_sum_of_dsq.series: there is no series `1`; there are: nr_queued",
        ],
    ),
    "series of a scheduler": (
        _under(
            {"checks": checks(over_time = [over_time.equals_sum_of_dsq("nr_qeued")])},
            checks = checks(over_time = [over_time.never_decreases(metric.series("nr_queued"))]),
            series = [_QUEUED],
        ) + refusal(checks = checks(over_time = [over_time.equals_sum_of_dsq("x")]), scheduler = ":scx_s"),
        ["checks.over_time[0].equals_sum_of_dsq.series: there is no series `nr_qeued`; did you mean `nr_queued`?"],
    ),
    "series that are not there": (
        refusal(checks = checks(over_time = [over_time.equals_sum_of_dsq("x")])),
        ["checks.over_time[0].equals_sum_of_dsq.series: there is no series `x`; monitor.series, or series of the scheduler, would have it"],
    ),
    "under a scheduler that is not looked at": (
        _under({"monitor": False}, checks = checks(max_gap = "1s", work_conserving = "20ms")) +
        _under({"checks": checks(work_conserving = False), "monitor": False}, checks = checks(work_conserving = "20ms")),
        ["scheduler.checks.work_conserving: " + _NOT_SAMPLED],
    ),
}
