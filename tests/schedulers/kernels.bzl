"""Kernels that the schedulers are tested on."""

load("@ktstr_kernels//:kernels.bzl", "KERNELS")

def _label(name):
    return "@ktstr_kernels//:" + name

# The oldest, a middle and the newest series with sched_ext that the archive carries.
SERIES = [_label(name) for name in ["linux_6_16", "linux_6_19", "linux_7_3"]]

NEWEST = SERIES[-1]

EVERY_KERNEL = [_label(name) for name in KERNELS]
