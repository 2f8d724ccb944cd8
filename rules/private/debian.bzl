"""Fetches packages of a Debian lock file from the mirror that the machine is configured for."""

MIRROR_VARIABLE = "KTSTR_DEBIAN_MIRROR"

# Bazel tells the status only in a warning of its own.
_NOT_FETCHED = """\
could not fetch {name} {version} from {url}; Bazel's warning about this address says why
  if the mirror cannot be reached: name another one with --repo_env={variable}=<URL of a mirror>
  if it has the package no longer (404: its suite has moved on): name one that keeps old packages, in the same way, or use
  a newer version of ktstr; in a checkout of ktstr, `tools/lock/refresh {lock}` writes the lock file again"""

def mirror_of_sources(text):
    """The first address that ends in /debian in the text of an apt source file, or None.

    Args:
      text: of the file
    """
    for line in text.split("\n"):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        for word in words[1:] if words and words[0] in ["URIs:", "deb"] else []:
            if "://" in word and word.removesuffix("/").endswith("/debian"):
                return word.removesuffix("/")
    return None

def _source_files(rctx):
    """The files that apt reads, those of the newer format first, as tools/bazelw/mirror.sh has them."""
    parts = rctx.path("/etc/apt/sources.list.d")
    entries = sorted([str(path) for path in parts.readdir(watch = "no")]) if parts.exists else []
    return (
        [name for name in entries if name.endswith(".sources")] +
        ["/etc/apt/sources.list"] +
        [name for name in entries if name.endswith(".list")]
    )

def _mirror(rctx):
    named = rctx.getenv(MIRROR_VARIABLE)
    if named:
        return named.removesuffix("/")
    for name in _source_files(rctx):
        file = rctx.path(name)
        found = mirror_of_sources(rctx.read(file, watch = "no")) if file.exists else None
        if found:
            return found
    fail("no Debian mirror in the apt sources of this machine; name one: --repo_env={}=<URL of a mirror>".format(MIRROR_VARIABLE))

def fetch_packages(rctx, packages, lock):
    """Downloads packages side by side and unpacks them into the root of the repository.

    Args:
      rctx: the repository context
      packages: entries of a lock file: name, version, path, sha256
      lock: what tools/lock/refresh calls the lock file, for the message when a package is gone
    """
    mirror = _mirror(rctx)
    downloads = [
        rctx.download(
            url = "{}/{}".format(mirror, package["path"]),
            output = "packages/{}.deb".format(index),
            sha256 = package["sha256"],
            allow_fail = True,
            block = False,
        )
        for index, package in enumerate(packages)
    ]
    for index, package in enumerate(packages):
        if not downloads[index].wait().success:
            fail(_NOT_FETCHED.format(
                lock = lock,
                name = package["name"],
                url = "{}/{}".format(mirror, package["path"]),
                variable = MIRROR_VARIABLE,
                version = package["version"],
            ))
        parts = "packages/{}".format(index)
        rctx.extract("packages/{}.deb".format(index), output = parts)
        data = [entry for entry in rctx.path(parts).readdir() if entry.basename.startswith("data.tar")]
        rctx.extract(data[0])
    rctx.delete("packages")
