"""Variables of the kernel and of the fixture, read and written by the host: what they are, says scx-ktstr/bpf/known.bpf.h."""

load("//rules:defs.bzl", "cgroup", "hold", "op", "step", "work")

_KEY = 0x112233445566

# The knob `error` of scx-ktstr/src/control.rs: an error after so many dispatches.
_ERROR = 6

def _known(field, expect):
    return op.read_map("ktstr_known", expect = expect, field = field, key = _KEY)

def _set(field, value):
    return op.write_map("ktstr_known", value, field = field, key = _KEY)

def _spin(ops):
    return step(cgroups = [cgroup("a", work = work.cpu_spin(), workers = 3)], hold = hold.seconds(0.2), ops = ops)

# On two CPUs.
KNOWN = [
    _spin([
        _known("large", 0xfffffffffffffff0),
        _known("negative", -5),
        _known("color", 7),
        _known("inner.deep[1]", 20),
        _known("low_bits", 5),
        _known("high_bits", 123456),
        op.read_map("data", expect = 0x0123456789abcdef, field = "known_data"),
        op.read_map("rodata", expect = 0xfedcba9876543210, field = "known_rodata"),
        op.read_map("ktstr_known_cpu", expect = 2001, key = 0),
        op.read_map("ktstr_known_cpu", expect = 1000, key = 0, of_all = "min"),
        op.read_kernel("runqueues", cpu = 1, expect = 1, field = "cpu"),
        op.read_kernel("nr_cpu_ids", expect = 2, of_type = "u32"),
        # What is not known beforehand is the same in equal runs.
        op.read_kernel("jiffies_64", of_type = "u64"),
        op.read_kernel("runqueues", cpu = 0, field = "clock"),
        op.read_kernel("runqueues", cpu = 0, field = "curr->pid"),
    ]),
    step(hold = hold.loop(every = "20ms", ops = [op.read_map("bss", field = "nr_queued")], times = 3), ops = [
        _set("negative", -6),
        _set("low_bits", 2),
        _set("inner.deep[1]", 4294967295),
        op.write_map("ktstr_known_cpu", 7, key = 0),
        op.write_map("data", 1, field = "known_data"),
        _known("negative", -6),
        _known("low_bits", 2),
        _known("high_bits", 123456),
        _known("inner.deep[1]", 4294967295),
        _known("inner.deep[2]", 30),
        op.read_map("ktstr_known_cpu", expect = 14, key = 0),
        op.read_map("data", expect = 1, field = "known_data"),
        # Nobody uses it, so the kernel can have it otherwise.
        op.write_kernel("runqueues", 17, cpu = 1, field = "nr_iowait.counter"),
        op.read_kernel("runqueues", cpu = 1, expect = 17, field = "nr_iowait.counter"),
        op.write_kernel("runqueues", 0, cpu = 1, field = "nr_iowait.counter"),
    ]),
]

# Where the kernel has it.
ROOT = [_spin([op.read_kernel("scx_root", expect = 0, field = "->exit_kind.counter", of_type = "struct scx_sched *")])]

SWITCHED_ON = [
    _spin([op.read_map("ktstr_control", expect = 0, key = _ERROR)]),
    step(hold = hold.seconds(5), ops = [op.write_map("ktstr_control", 500, key = _ERROR)]),
]

# Each with what it says.
WRONG = {
    "misspelt": _spin([op.read_kernel("jifies_64", of_type = "u64")]),
    "not_there": _spin([op.read_map("bss", field = "nr_queud")]),
    "otherwise": _spin([_known("color", 8)]),
}
