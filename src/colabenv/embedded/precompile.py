"""Write the bytecode of packages on the processor that the check leaves idle. Standard library only, Python 3.6 syntax.

The environment's Python runs this file: `PYTHON -I precompile.py SITE_PACKAGES FOLDER…`. On SIGTERM it finishes the
current file and ends, so no bytecode is half written.
"""

import contextlib
import os
import py_compile
import signal
import sys
from importlib.util import cache_from_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Folders of these names hold nothing that an import of the package reads.
_LEFT_OUT = frozenset({"__pycache__", "include", "tests", "testing"})

_stop_requests = []  # type: list[int]


def iterate_sources(folder: str) -> "Iterator[str]":
    """The modules below a folder, in the order of its directory listing."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in files:
            if name.endswith(".py") and not name.endswith("_test.py"):
                yield os.path.join(parent, name)


def compile_missing(source: str) -> None:
    """Write a module's bytecode unless it exists; the error of a broken module is left to its import."""
    target = cache_from_source(source)
    if not os.path.exists(target):
        with contextlib.suppress(py_compile.PyCompileError, OSError, ValueError):
            py_compile.compile(source, cfile=target, doraise=True)


def main() -> None:
    """Compile what the command line names until all is done or a SIGTERM arrives."""
    signal.signal(signal.SIGTERM, lambda number, _: _stop_requests.append(number))
    site = sys.argv[1]
    for folder in sys.argv[2:]:
        for source in iterate_sources(os.path.join(site, folder)):
            if _stop_requests:
                return
            compile_missing(source)


if __name__ == "__main__":
    main()
