"""Words and shapes that all validation shares. An error is a text: `path: problem; what would do`."""

def error(path, problem, hint = None):
    """One thing that is wrong with a declaration, as the runner says it."""
    return "{}: {}{}".format(path, problem, "; " + hint if hint else "")

def out_of_range(path, seen, range):
    """A value that is not in its range."""
    return error(path, "{} is out of range".format(show(seen)), range)

def show(value):
    """A value as a person writes it."""
    if type(value) == "float" and value == int(value):
        return str(int(value))
    return str(value)

def is_number(value):
    """Whether a value is an int or a float."""
    return type(value) in ["int", "float"]

def number_error(path, value, what):
    """An error if a value is not a whole number, else None."""
    if type(value) == "int":
        return None
    return error(path, "{} is not a number of {}".format(repr(value), what), "a whole number")

def is_record(value, required):
    """Whether a value has the form of what a constructor returns."""
    return type(value) == "dict" and all([field in value for field in required])

def distance(a, b):
    """How many letters have to be changed, added, left out or exchanged with their neighbour to get from a to b."""
    before, last = [], list(range(len(b) + 1))
    for i in range(len(a)):
        row = [i + 1]
        for j in range(len(b)):
            cost = min(last[j] + (0 if a[i] == b[j] else 1), last[j + 1] + 1, row[j] + 1)
            if i and j and a[i] == b[j - 1] and a[i - 1] == b[j]:
                cost = min(cost, before[j - 1] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]

def nearest(name, candidates):
    """The candidate that is nearest to a name if one is near enough to be what was meant, else None."""
    found = None
    for candidate in candidates:
        if found == None or distance(name, candidate) < distance(name, found):
            found = candidate
    return found if found != None and distance(name, found) <= max(len(name) // 2, 2) else None

def unknown(path, what, name, candidates):
    """A name that is none of the candidates."""
    near = nearest(name, candidates)
    hint = "did you mean `{}`?".format(near) if near else "there are: " + ", ".join(candidates)
    return error(path, "unknown {} `{}`".format(what, name), hint)
