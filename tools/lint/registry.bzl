"""What the rules for programs out of a registry have in common."""

def watched_which(rctx, name):
    """A program on PATH, or None; asked again when it is installed or removed.

    Args:
      rctx: the repository context
      name: of the program
    """
    for directory in (rctx.getenv("PATH") or "").split(":"):
        if directory.startswith("/"):
            path = rctx.path(directory + "/" + name)
            rctx.watch(path)
            if path.exists:
                return path
    return None

def said_by(rctx, arguments):
    """The only line that a program prints, without a slash at its end; None if it fails or prints nothing.

    Args:
      rctx: the repository context
      arguments: the program and its arguments
    """
    result = rctx.execute(arguments, timeout = 60)
    return (result.stdout.strip().rstrip("/") or None) if result.return_code == 0 else None

def missing_program(rctx, asked, variable):
    """Puts a note in place of the program: only the test that needs it is to say so (tools/lint/missing.sh).

    Args:
      rctx: the repository context
      asked: the program that would know the registry
      variable: the variable that can name it
    """
    rctx.file("program", "missing: no registry to fetch it from: {} is not set and there is no {} on PATH; install {}, or pass --repo_env={}=<URL>\n".format(
        variable,
        asked,
        asked,
        variable,
    ), executable = False)
