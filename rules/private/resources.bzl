"""What a test asks of the machine that it runs on."""

load("//rules/private/validate:topologies.bzl", "cpus_of", "memory_of")

# MiB that the runner and the emulator take beside the memory of the guest. With it comes the expansion of a snapshot, of which
# there is one at a time: a kernel that has just booted has touched some 90 MiB, which all machines of the runner share.
_OVERHEAD = 512

# Under the virtual clock an emulator runs one CPU after the other. Under the real clock each CPU is a thread; more than
# these would keep a test with many mostly idle CPUs waiting for a machine that never comes.
_REAL_CPUS_MAX = 4

def resources(tags, topologies, clocks, pinned = False):
    """What the largest case asks of the machine, for `testing.ExecutionInfo`.

    Args:
      tags: of the test; what they ask for is left to them
      topologies: its machines
      clocks: one for each of them
      pinned: whether each of their CPUs has one of the machine that it runs on for itself

    Returns:
      a dict whose keys are Bazel's tags `cpu:N` and `resources:memory:MB`
    """
    most = max([cpus_of(topology) for topology in topologies]) if pinned else _REAL_CPUS_MAX
    busy = [min(cpus_of(t), most) if clock == "real" else 1 for t, clock in zip(topologies, clocks)]
    memory = max([memory_of(topology) for topology in topologies]) + _OVERHEAD
    wanted = {"cpu:": max(busy), "resources:memory:": memory}
    return {
        "{}{}".format(prefix, amount): ""
        for prefix, amount in wanted.items()
        if not [tag for tag in tags if tag.startswith(prefix)]
    }
