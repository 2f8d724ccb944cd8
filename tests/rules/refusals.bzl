"""What is refused when a BUILD file is loaded, with which message."""

load("//rules:defs.bzl", "cgroup", "hold", "step", "topology", "work")
load("//rules/private/validate:validate.bzl", "validate")  # buildifier: disable=bzl-visibility

def refusal(**fields):
    """Everything that is wrong with a declaration that would be right without these fields."""
    right = {
        "name": "t",
        "scenario": [step(
            cgroups = [cgroup("a", work = work.cpu_spin(), workers = 1)],
            hold = hold.seconds(1),
        )],
        "topologies": [topology(1, 2, 2, 1)],
    }
    return validate(right | fields)

def refusal_of_cgroup(**fields):
    """As `refusal`, of a declaration with one cgroup with these fields."""
    return refusal(scenario = [step(
        cgroups = [cgroup(**({"name": "a"} | fields))],
        hold = hold.seconds(1),
    )])

def refusal_of_ops(*ops):
    """As `refusal`, of a declaration with a cgroup `alpha`, one `beta` nested in it, and these ops."""
    return refusal(scenario = [step(
        cgroups = [cgroup("alpha"), cgroup("beta", parent = "alpha")],
        hold = hold.seconds(1),
        ops = list(ops),
    )])
