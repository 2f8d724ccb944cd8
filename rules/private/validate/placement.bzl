"""Whether a machine can have of the host what it wants for itself."""

load(":report.bzl", "error")

_FIELDS = ["pin_cpus", "huge_pages"]

def placement_errors(declared, backend = None):
    """What is wrong with where a test wants its machines.

    Args:
      declared: a dict, in which `pin_cpus` and `huge_pages` may stand
      backend: what runs the machines; None: it is not known yet

    Returns:
      a list of errors
    """
    errors = []
    for field in [field for field in _FIELDS if field in declared]:
        if type(declared[field]) != "bool":
            errors.append(error(field, "{} is neither True nor False".format(repr(declared[field]))))
        elif backend == "tcg":
            problem = "the back end tcg does not place its machines: what is measured on it is mostly the emulator's doing"
            errors.append(error(field, problem, "backend = \"kvm\", or leave it away"))
    return errors
