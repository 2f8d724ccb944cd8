"""Cases of the faults."""

load("//rules:defs.bzl", "cgroup", "hold", "ktstr_matrix", "step", "work")
load(":faults.bzl", "FAULTS")

# Where it does not matter what runs.
ONE_SPINS = [step(
    cgroups = [cgroup("a", work = work.cpu_spin(), workers = 1)],
    hold = hold.seconds(0.2),
)]

def fault_test(name, fault, flags, kernels, expect_failure, **kwargs):
    """A fault on kernels.

    Args:
      name: of the suite
      fault: the scenario that shows it
      flags: of the fixture
      kernels: labels
      expect_failure: what it has to come to; None: nothing fails
      **kwargs: as of `ktstr_matrix`
    """
    ktstr_matrix(
        name = name,
        expect_failure = expect_failure,
        flags = [flags],
        kernels = kernels,
        scheduler = ":scx_ktstr",
        # For one case each, a snapshot would cost more than it saves.
        start = "attach",
        **(fault.test | kwargs)
    )

def faults(prefix, kernels, switched_on, **kwargs):
    """All faults on kernels.

    Args:
      prefix: of the names of suites
      kernels: labels
      switched_on: whether the scheduler has the fault; the failure is expected in any case
      **kwargs: as of `ktstr_matrix`
    """
    for name, fault in FAULTS.items():
        flags = fault.without + ([name] if switched_on else [])
        fault_test(prefix + name, fault, flags, kernels, fault.expected, **kwargs)
