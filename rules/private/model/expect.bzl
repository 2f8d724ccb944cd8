"""The failure that a test is about."""

load(":topology.bzl", "without_none")

def expect_failure(cause, phase = None, message = None):
    """A failure that makes a case pass. Any other failure, and none, makes it fail.

    Args:
      cause: of the scheduler under test: `verifier`, `bpf_error`, `runtime_error`, `stall`, `stall_behind_rt`, `unregistered`,
        `user_panic`, `exit`, `signal`, `error_log`, `load_hang`, `attach_hang`, `detach_hang`; of the guest: `panic`, `hang`,
        `triple_fault`, `reboot`, `power_off`, `worker_died`; of a check: `check`; of an op that the host does: `op`
      phase: `boot`, `load`, `verify`, `attach`, `run`, `detach` or `finish`; by default any
      message: what stands in the finding, or the name of the check; by default anything

    Returns:
      `expect_failure` of a `ktstr_test`
    """
    return without_none(cause = cause, phase = phase, message = message)
