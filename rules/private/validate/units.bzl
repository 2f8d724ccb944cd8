"""Quantities with their units."""

load(":report.bzl", "error", "out_of_range")

_DURATION_UNITS = {"s": 1000000000, "ms": 1000000, "us": 1000, "ns": 1}
_SIZE_UNITS = {"G": 1024, "M": 1}

# The longest time that a scenario may wait for at once.
HOLD_SECONDS_MAX = 3600
_HOLD_MAX = HOLD_SECONDS_MAX * _DURATION_UNITS["s"]

def _parse(text, units):
    if type(text) != "string":
        return None
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number):]
    return int(number) * units[unit] if number.isdigit() and unit in units else None

def nanoseconds(text):
    """A duration such as `"5ms"` in nanoseconds, or None if it is not one."""
    return _parse(text, _DURATION_UNITS)

def mebibytes(text):
    """A size of memory such as `"2G"` in MiB, or None if it is not one."""
    return _parse(text, _SIZE_UNITS)

def show_mebibytes(size):
    """A size of memory in MiB as a person writes it."""
    return "{}G".format(size // 1024) if size and size % 1024 == 0 else "{}M".format(size)

def memory_error(path, value):
    """An error if a value is not a size of memory, else None."""
    if mebibytes(value) != None:
        return None
    return error(path, "`{}` is not a size of memory, such as \"512M\" or \"2G\"".format(value))

def duration_error(path, value):
    """An error if a value is not a duration, else None."""
    if nanoseconds(value) != None:
        return None
    return error(path, "`{}` is not a duration, such as \"500us\", \"5ms\" or \"2s\"".format(value))

def interval_errors(path, value):
    """Errors if a value is not a time that one can wait for."""
    wrong = duration_error(path, value)
    if wrong:
        return [wrong]
    if nanoseconds(value) < 1 or nanoseconds(value) > _HOLD_MAX:
        return [out_of_range(path, value, "1ns to {}s".format(HOLD_SECONDS_MAX))]
    return []
