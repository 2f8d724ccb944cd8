"""Whether ops that the host does can be, as far as that is known without the kernel."""

load(":report.bzl", "error", "is_record", "unknown")

_NUMBER_MIN = -9223372036854775808
_NUMBER_MAX = 18446744073709551615
_OF_ALL = ["sum", "min", "max"]
_VARIABLE = {"kernel": ["symbol", "field", "cpu", "of_type"], "map": ["map", "field", "key"]}
_MORE = {"read_kernel": ["expect"], "read_map": ["of_all", "expect"], "write_kernel": ["value"], "write_map": ["value"]}

def host_op_errors(path, kind, op):
    """Errors of an op of the host; whether its CPU is on a machine is asked elsewhere.

    Args:
      path: where it stands
      kind: one of `read_map`, `write_map`, `read_kernel`, `write_kernel`
      op: what stands there

    Returns:
      a list of errors
    """
    of = kind.split("_")[1]
    fields = _VARIABLE[of] + _MORE[kind]
    if not is_record(op, [fields[0]]):
        return [error(path, "{} is not an op of the host".format(repr(op)), "such as op.{}(\"…\")".format(kind))]
    errors = [unknown(path, "field", field, fields) for field in op if field not in fields]
    for field in [fields[0], "field", "of_type"]:
        if field in op and (type(op[field]) != "string" or not op[field]):
            errors.append(error("{}.{}".format(path, field), "{} is not a name".format(repr(op[field]))))
    if kind == "write_map" and op["map"] == "rodata":
        problem = "rodata is only read: the kernel's verifier has taken its values for constants"
        errors.append(error(path + ".map", problem, "a variable that is not `const`"))
    for field, least, what in [
        ("expect", _NUMBER_MIN, "number"),
        ("value", _NUMBER_MIN, "number"),
        ("key", 0, "key"),
    ]:
        number = op.get(field, 0)
        if type(number) != "int" or number < least or number > _NUMBER_MAX:
            problem = "{} is not a {}".format(repr(number), what)
            errors.append(error("{}.{}".format(path, field), problem, "a whole number of at most 64 bits"))
    if kind.startswith("write") and "value" not in op:
        errors.append(error(path + ".value", "is not there"))
    if "of_all" in op and op["of_all"] not in _OF_ALL:
        errors.append(unknown(path + ".of_all", "choice", str(op["of_all"]), _OF_ALL))
    return errors
