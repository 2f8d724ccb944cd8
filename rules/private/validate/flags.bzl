"""Whether the flags of a scheduler, and what a test asks of them, make sense."""

load(":report.bzl", "error", "unknown")

# Most flags, and most profiles of a test.
_MOST = 64

_NAME_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

def is_name(text, more = ""):
    """Whether a value is a text of letters, digits, `_`, `-` and `more`, and not empty."""
    return type(text) == "string" and bool(text) and not [c for c in text.elems() if c not in _NAME_CHARS + more]

def is_texts(value):
    """Whether a value is a list of texts."""
    return type(value) == "list" and not [item for item in value if type(item) != "string"]

def profile_name(profile):
    """The name of a flag profile: `llc+steal`; `default` for one without flags."""
    return "+".join(profile) or "default"

def flags_errors(flags, requires, conflicts):
    """What is wrong with the flags that a scheduler declares.

    Args:
      flags: name to arguments
      requires: name to names of flags without which it cannot be
      conflicts: name to names of flags with which it cannot be

    Returns:
      a list of errors
    """
    if type(flags) != "dict":
        return [error("flags", "{} is not a set of flags".format(repr(flags)), "such as {\"llc\": [\"--llc\"]}")]
    errors = []
    for name, args in flags.items():
        path = "flags.{}".format(name)
        if not is_name(name):
            errors.append(error("flags", "{} is not a name".format(repr(name)), "letters, digits, `_`, `-`"))
        elif not is_texts(args):
            errors.append(error(path, "{} is not a list of arguments".format(repr(args)), "such as [\"--llc\"]"))
    if len(flags) > _MOST:
        errors.append(error("flags", "{} flags".format(len(flags)), "at most {}".format(_MOST)))
    errors.extend(_relation_errors("requires", requires, flags) + _relation_errors("conflicts", conflicts, flags))
    return errors or _cycle_errors(flags, requires) or _contradiction_errors(flags, requires, conflicts)

def _relation_errors(field, relation, flags):
    if type(relation) != "dict":
        return [error(field, "{} is not a relation of flags".format(repr(relation)), "such as {\"steal\": [\"llc\"]}")]
    errors = []
    for name, others in relation.items():
        path = "{}.{}".format(field, name)
        if name not in flags:
            errors.append(unknown(field, "flag", name, flags.keys()))
        elif not is_texts(others):
            errors.append(error(path, "{} is not a list of flags".format(repr(others)), "such as [\"llc\"]"))
        else:
            errors.extend([unknown(path, "flag", other, flags.keys()) for other in others if other not in flags])
            if name in others:
                errors.append(error(path, "is the flag itself"))
    return errors

def _cycle_errors(flags, requires):
    """A flag that requires another which requires, in the end, the first."""
    for first in flags:
        way, name = [first], first

        # Along one requirement each: every flag of a cycle has one that is in it, too.
        for _ in flags:
            name = ([other for other in requires.get(name, []) if first in closure([other], requires)] or [None])[0]
            if name == None:
                break
            way.append(name)
            if name == first:
                return [error("requires.{}".format(first), "a cycle: {}".format(" requires ".join(["`{}`".format(n) for n in way])))]
    return []

def _contradiction_errors(flags, requires, conflicts):
    errors = []
    for name in flags:
        pair = _conflict(closure([name], requires), conflicts)
        if pair:
            text = "can never be: it requires `{}` and `{}`, which conflict".format(*pair) if name not in pair else "can never be: it requires `{}`, with which it conflicts".format([n for n in pair if n != name][0])
            errors.append(error("flags.{}".format(name), text))
    return errors

def closure(names, requires):
    """These flags, and all that they require, directly or not."""
    found = {name: True for name in names}
    for _ in range(_MOST):
        more = [other for name in found for other in requires.get(name, []) if other not in found]
        if not more:
            break
        found.update({name: True for name in more})
    return found.keys()

def _conflict(names, conflicts):
    for name in names:
        for other in conflicts.get(name, []):
            if other in names:
                return (name, other)
    return None

def profiles_errors(profiles):
    """What is wrong with the flag profiles of a test, whatever its scheduler."""
    hint = "a list of profiles, each a list of flags, such as [[], [\"llc\"]]"
    if type(profiles) != "list" or not profiles:
        return [error("flags", "{} is not a list of profiles".format(repr(profiles)), hint)]
    if len(profiles) > _MOST:
        return [error("flags", "{} profiles".format(len(profiles)), "at most {}".format(_MOST))]
    errors, names = [], {}
    for i, profile in enumerate(profiles):
        path = "flags[{}]".format(i)
        if not is_texts(profile):
            errors.append(error(path, "{} is not a flag profile".format(repr(profile)), hint))
            continue
        if [flag for j, flag in enumerate(profile) if flag in profile[:j]]:
            errors.append(error(path, "has a flag twice"))
        name = profile_name(sorted(profile))
        if name in names:
            errors.append(error(path, "{} stands there twice".format(profile_name(profile))))
        names[name] = True
    return errors

def profile_errors(path, profile, flags, requires, conflicts):
    """What is wrong with a flag profile of a test, given the flags of its scheduler."""
    errors = [unknown(path, "flag", flag, flags.keys()) for flag in profile if flag not in flags]
    if errors:
        return errors
    for flag in profile:
        missing = [other for other in requires.get(flag, []) if other not in profile]
        if missing:
            whole = profile_name(sorted(closure(profile, requires)))
            errors.append(error(path, "`{}` requires `{}`".format(flag, missing[0]), "{} would do".format(whole)))
    pair = _conflict(profile, conflicts)
    if pair:
        errors.append(error(path, "`{}` conflicts with `{}`".format(*pair), "two profiles would do"))
    return errors
