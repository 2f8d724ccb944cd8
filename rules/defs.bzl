"""Everything that a BUILD file with tests loads."""

load("//rules/private:kernel.bzl", _KtstrKernelInfo = "KtstrKernelInfo", _ktstr_prebuilt_kernel = "ktstr_prebuilt_kernel")
load("//rules/private:matrix.bzl", _ktstr_matrix = "ktstr_matrix")
load("//rules/private:preflight.bzl", _ktstr_preflight_test = "ktstr_preflight_test")
load("//rules/private:scheduler.bzl", _KtstrSchedulerInfo = "KtstrSchedulerInfo", _ktstr_scheduler = "ktstr_scheduler")
load("//rules/private:test.bzl", _ktstr_test = "ktstr_test")
load("//rules/private/model:checks.bzl", _checks = "checks", _latency = "latency", _sustained = "sustained")
load("//rules/private/model:expect.bzl", _expect_failure = "expect_failure")
load("//rules/private/model:monitor.bzl", _metric = "metric", _monitor = "monitor", _series = "series")
load("//rules/private/model:op.bzl", _op = "op")
load("//rules/private/model:over_time.bzl", _over_time = "over_time")
load(
    "//rules/private/model:scenario.bzl",
    _cgroup = "cgroup",
    _cpu_max = "cpu_max",
    _hold = "hold",
    _step = "step",
    _workers = "workers",
)
load("//rules/private/model:topology.bzl", _presets = "presets", _topology = "topology")
load("//rules/private/model:work.bzl", _affinity = "affinity", _cpuset = "cpuset", _policy = "policy", _work = "work")

KtstrKernelInfo = _KtstrKernelInfo
KtstrSchedulerInfo = _KtstrSchedulerInfo
affinity = _affinity
cgroup = _cgroup
checks = _checks
cpu_max = _cpu_max
cpuset = _cpuset
expect_failure = _expect_failure
hold = _hold
ktstr_matrix = _ktstr_matrix
ktstr_preflight_test = _ktstr_preflight_test
ktstr_prebuilt_kernel = _ktstr_prebuilt_kernel
ktstr_scheduler = _ktstr_scheduler
ktstr_test = _ktstr_test
latency = _latency
metric = _metric
monitor = _monitor
op = _op
over_time = _over_time
policy = _policy
presets = _presets
series = _series
step = _step
sustained = _sustained
topology = _topology
work = _work
workers = _workers
