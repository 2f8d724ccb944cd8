"""Prints the package index that pip of this Python uses: the configured one, else the one that it has built in.

Prints nothing if this Python has no pip.
"""

import os
import subprocess
import sys


def main():
    """The index without a slash at its end, on one line."""
    index = os.environ.get("PIP_INDEX_URL")
    if not index:
        asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        index = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    if not index:
        try:
            from pip._internal.models.index import PyPI
        except ImportError:
            return
        index = PyPI.simple_url
    print(index.rstrip("/"))


main()
