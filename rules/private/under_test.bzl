"""What a test makes of the scheduler that it names: the declaration that the runner reads, and where the files are."""

load("//rules/private/model:topology.bzl", "without_none")
load("//rules/private/validate:flags.bzl", "profile_errors", "profile_name")
load("//rules/private/validate:monitor.bzl", "on_samples_errors")
load("//rules/private/validate:report.bzl", "error")

def topologies_of(declared, scheduler):
    """The machines of a test: its own, or else the one of its scheduler.

    Args:
      declared: the declaration of the test
      scheduler: a KtstrSchedulerInfo

    Returns:
      a list of topologies; empty if there is none
    """
    inherited = [scheduler.topology] if scheduler.topology else []
    return declared.get("topologies", inherited)

def profile_args(scheduler, profile):
    """Arguments of a flag profile, in the order of its flags."""
    return [argument for flag in profile for argument in scheduler.flags[flag]]

def under_test_errors(scheduler, profiles):
    """What is wrong with the flag profiles that a test asks of its scheduler.

    Args:
      scheduler: a KtstrSchedulerInfo
      profiles: lists of flags

    Returns:
      a list of errors
    """
    errors = []
    for i, profile in enumerate(profiles):
        path = "flags[{}]".format(i)
        if not scheduler.flags and profile:
            errors.append(error(path, "`{}` has no flags".format(scheduler.declared["name"])))
        else:
            errors.extend(profile_errors(path, profile, scheduler.flags, scheduler.relations.requires, scheduler.relations.conflicts))
    return errors

def sampled_errors(declared, scheduler):
    """What is wrong with checks that look at samples, of a test and of its scheduler.

    Args:
      declared: the declaration of the test
      scheduler: a KtstrSchedulerInfo

    Returns:
      a list of errors
    """
    if not scheduler.program:
        return []
    monitor, series = declared.get("monitor", True), scheduler.declared.get("series", [])
    checks = declared.get("checks", {})

    # Those that the test has switched off do not count.
    inherited = {name: bound for name, bound in scheduler.declared.get("checks", {}).items() if checks.get(name) != False}
    return (
        on_samples_errors("checks", checks, monitor, series, known = True) +
        on_samples_errors("scheduler.checks", inherited, monitor, series, known = True)
    )

def declared_scheduler(scheduler, profiles):
    """The field `scheduler` of the declaration that the runner reads.

    Args:
      scheduler: a KtstrSchedulerInfo
      profiles: lists of flags

    Returns:
      a dict; None without a scheduler
    """
    if not scheduler.program:
        return None
    named = [without_none(name = profile_name(profile), args = profile_args(scheduler, profile) or None) for profile in profiles]
    return dict(scheduler.declared, **without_none(profiles = named or None))

def attached_scheduler(scheduler, profile):
    """What a snapshot has to know of a scheduler, with the arguments of a flag profile."""
    declared = scheduler.declared
    fields = {field: declared[field] for field in ["attach_timeout", "files", "name"] if field in declared}
    return dict(fields, args = declared.get("args", []) + profile_args(scheduler, profile))

def scheduler_files(scheduler, config):
    """Every file that the runner needs of a scheduler."""
    if not scheduler.program:
        return []
    return [scheduler.program] + scheduler.libraries + scheduler.files.values() + ([config] if config else [])

def _directory(file, path):
    """Where a library is looked for: a build may give a directory of them."""
    return path(file) if file.is_directory else path(file).rpartition("/")[0]

def scheduler_description(scheduler, config, path):
    """Where the files are, as the runner reads it; `path` gives the path of a file. None without a scheduler."""
    if not scheduler.program:
        return None
    return without_none(
        config = path(config) if config else None,
        files = {guest: path(file) for guest, file in scheduler.files.items()} or None,
        libraries = {_directory(file, path): True for file in scheduler.libraries}.keys() or None,
        program = path(scheduler.program),
    )
