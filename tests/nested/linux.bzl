"""Tests that are declared as any other, and run on the emulated host, where KVM is genuine."""

load("//rules:defs.bzl", "ktstr_test")
load("//tests/schedulers:faults.bzl", "FAULTS")
load(":nested.bzl", "nested_test")

def linux_test(name, kernel, scheduler_binary = None, size = "medium", tags = [], **declared):
    """Runs the cases of a declaration on KVM.

    Args:
      name: of the target
      kernel: label of a kernel
      scheduler_binary: the program of the scheduler, if there is one
      size: as of any test
      tags: as of any test
      **declared: what `ktstr_test` takes
    """
    cases = name + "_cases"
    ktstr_test(
        name = cases,
        backend = "kvm",
        kernel = kernel,
        # Only its declaration is used: by itself it would want a genuine KVM here.
        tags = ["manual"],
        **declared
    )
    native.filegroup(name = name + "_spec", srcs = [cases], output_group = "spec", tags = ["manual"], testonly = True)
    native.filegroup(name = name + "_kernel", srcs = [kernel], output_group = "packed", tags = ["manual"], testonly = True)
    files = {name + "_kernel": "/vmlinuz", name + "_spec": "/spec.json"}
    run = "ktstr run /spec.json --kernel /vmlinuz --guest /bin --output /tmp/out"
    if scheduler_binary:
        files[scheduler_binary] = "/bin/scheduler"
        run += " --scheduler /bin/scheduler"
    nested_test(
        name = name,
        size = size,
        command = run,
        files = files,
        programs = True,
        tags = tags,
    )

def linux_fault_test(name, fault, kernel):
    """A fault of the fixture, as //tests/schedulers has it.

    Args:
      name: of the target
      fault: its name
      kernel: label of a kernel
    """
    shown = FAULTS[fault]
    linux_test(
        name = name,
        expect_failure = shown.expected,
        flags = [shown.without + [fault]],
        kernel = kernel,
        scheduler = "//tests/schedulers:scx_ktstr",
        scheduler_binary = "//scx-ktstr",
        start = "attach",
        **shown.test
    )
