"""Whether a scheduler can be as it is declared, and a failure can be expected."""

load(":checks.bzl", "checks_errors")
load(":flags.bzl", "flags_errors", "is_name", "is_texts")
load(":monitor.bzl", "series_errors")
load(":report.bzl", "error", "is_record", "out_of_range", "unknown")
load(":topologies.bzl", "topology_errors")
load(":units.bzl", "duration_error", "nanoseconds")

_TIMEOUT_SECONDS_MAX = 3600
_NAME_MAX = 64

# What a test can expect to go wrong; the names of `Cause` in the model.
CAUSES = [
    "attach_hang",
    "bpf_error",
    "check",
    "detach_hang",
    "error_log",
    "exit",
    "hang",
    "load_hang",
    "op",
    "panic",
    "power_off",
    "reboot",
    "runtime_error",
    "signal",
    "stall",
    "stall_behind_rt",
    "triple_fault",
    "unregistered",
    "user_panic",
    "verifier",
    "worker_died",
]
_PHASES = ["boot", "load", "verify", "attach", "run", "detach", "finish"]

def scheduler_errors(scheduler):
    """Everything that is wrong with a scheduler.

    Args:
      scheduler: a dict with `name`, `args`, `binary`, `files`, `flags`, `requires`, `conflicts`, `topology`, `checks`, `kernel_features`,
        `attach_timeout`, `series`

    Returns:
      a list of texts: `path: problem; what would do`
    """
    name, args, features = scheduler["name"], scheduler["args"], scheduler["kernel_features"]
    errors = []
    if not is_name(name, ".+") or len(name) > _NAME_MAX or name.startswith("."):
        hint = "1 to {} letters, digits, `.`, `_`, `-`, `+`; not a dot first".format(_NAME_MAX)
        errors.append(error("name", "{} is not a name".format(repr(name)), hint))
    if not is_texts(args):
        errors.append(error("args", "{} is not a list of arguments".format(repr(args)), "such as [\"--slice-us\", \"500\"]"))
    binary = scheduler["binary"]
    if type(binary) == "string" and binary.startswith("/") and not binary.startswith("//"):
        errors.append(error("binary", "\"{}\" is a path of this machine".format(binary), "a file below this package, or a label"))
    errors.extend(_files_errors(scheduler["files"]))
    errors.extend(flags_errors(scheduler["flags"], scheduler["requires"], scheduler["conflicts"]))
    if scheduler["topology"] != None:
        errors.extend(topology_errors(scheduler["topology"], "topology"))
    errors.extend(checks_errors("checks", scheduler["checks"] or {}))
    errors.extend(series_errors("series", scheduler["series"] or []))
    errors.extend(_features_errors(features))
    if scheduler["attach_timeout"] != None:
        errors.extend(_timeout_errors("attach_timeout", scheduler["attach_timeout"]))
    return errors

def _files_errors(files):
    if type(files) != "dict":
        return [error("files", "{} is not a set of files".format(repr(files)), "such as {\"/etc/layers.json\": \":layers.json\"}")]
    errors = []
    for path in files:
        parts = path.split("/") if type(path) == "string" else []
        if len(parts) < 2 or parts[0] or not parts[-1] or ".." in parts:
            errors.append(error("files", "{} is not the absolute path of a file in the guest".format(repr(path))))
    return errors

def _features_errors(features):
    hint = "CONFIG_X, a kfunc, a type, a constant SCX_X, or a member such as sched_ext_ops.cgroup_set_bandwidth"
    if not is_texts(features):
        return [error("kernel_features", "{} is not a list of features".format(repr(features)), hint)]
    errors = []
    for i, feature in enumerate(features):
        parts = feature.split(".")
        if len(parts) > 2 or [part for part in parts if not is_name(part) or "-" in part]:
            errors.append(error("kernel_features[{}]".format(i), "{} is not a feature".format(repr(feature)), hint))
    return errors

def _timeout_errors(path, timeout):
    wrong = duration_error(path, timeout)
    if wrong:
        return [wrong]
    if nanoseconds(timeout) <= 0 or nanoseconds(timeout) > _TIMEOUT_SECONDS_MAX * 1000000000:
        return [out_of_range(path, timeout, "above 0, at most {} seconds".format(_TIMEOUT_SECONDS_MAX))]
    return []

def expect_failure_errors(path, expected):
    """Errors of what `expect_failure(…)` returned."""
    if not is_record(expected, ["cause"]):
        return [error(path, "{} is not a failure".format(repr(expected)), "such as expect_failure(\"stall\")")]
    errors = []
    if expected["cause"] not in CAUSES:
        errors.append(unknown(path + ".cause", "cause", str(expected["cause"]), CAUSES))
    if "phase" in expected and expected["phase"] not in _PHASES:
        errors.append(unknown(path + ".phase", "phase", str(expected["phase"]), _PHASES))
    if "message" in expected and (type(expected["message"]) != "string" or not expected["message"]):
        errors.append(error(path + ".message", "{} is not a text".format(repr(expected["message"])), "leave it out for any message"))
    return errors
