"""`ktstr_matrix`: one test on many kernels."""

load(":test.bzl", "ktstr_test")

def ktstr_matrix(name, kernels, tags = [], **kwargs):
    """A `ktstr_test` for each kernel, and a suite of all of them.

    Cases on a kernel that lacks what the scheduler needs are skipped, with the reason. A target in which every case is skipped is red, unless
    it says `may_skip = True`.

    Args:
      name: of the suite; tests are named `<name>_<kernel>`, such as `slices_linux_6_16`
      kernels: labels of kernels, such as `["@ktstr_kernels//:linux_6_16", "@ktstr_kernels//:linux_7_3"]`
      tags: of the tests; `manual` is of the suite, too
      **kwargs: as of `ktstr_test`
    """
    if type(kernels) != "list" or not kernels:
        fail("\n{}: kernels: {} is not a list of kernels; at least one".format(name, repr(kernels)))
    tests = {}
    for kernel in kernels:
        test = "{}_{}".format(name, native.package_relative_label(kernel).name)
        if test in tests:
            fail("\n{}: kernels: {} and {} would both be {}".format(name, tests[test], kernel, test))
        tests[test] = kernel
        ktstr_test(name = test, kernel = kernel, tags = tags, **kwargs)
    native.test_suite(
        name = name,
        tags = [tag for tag in tags if tag == "manual"],
        tests = tests.keys(),
        visibility = kwargs.get("visibility"),
    )
