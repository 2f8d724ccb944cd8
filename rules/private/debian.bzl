"""Fetches packages of a Debian lock file from the mirror that the machine is configured for."""

MIRROR_VARIABLE = "KTSTR_DEBIAN_MIRROR"

def _mirror_of_sources(text):
    """The first mirror that ends in /debian in the text of an apt source file, or None."""
    for line in text.split("\n"):
        if line.startswith("URIs:") or line.startswith("deb "):
            for word in line.split(" "):
                if word.rstrip("/").endswith("/debian"):
                    return word.rstrip("/")
    return None

def _mirror(rctx):
    named = rctx.getenv(MIRROR_VARIABLE)
    if named:
        return named.rstrip("/")
    for name in ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]:
        file = rctx.path(name)
        found = _mirror_of_sources(rctx.read(file, watch = "no")) if file.exists else None
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
            fail("could not fetch {} {} ({}) from the Debian mirror: if the pool no longer has it, refresh the lock with `tools/lock/refresh {}`".format(
                package["name"],
                package["version"],
                package["path"],
                lock,
            ))
        parts = "packages/{}".format(index)
        rctx.extract("packages/{}.deb".format(index), output = parts)
        data = [entry for entry in rctx.path(parts).readdir() if entry.basename.startswith("data.tar")]
        rctx.extract(data[0])
    rctx.delete("packages")
