"""Write the bytecode of packages, on the processor that the proof leaves idle. Standard library only, CPython 3.8.

An environment's own Python runs this file: `PYTHON -I compiler.py SITE_PACKAGES FOLDER…`. It ends after the file it
is at when it gets SIGTERM, so nothing half-written stays.
"""

from __future__ import annotations

import os
import py_compile
import signal
import sys
from importlib.util import cache_from_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Folders of these names hold nothing that an import of the package reads.
_LEFT_OUT = frozenset({"__pycache__", "include", "tests", "testing"})

_stopped: list[bool] = []


def iterate_sources(folder: str) -> Iterator[str]:
    """The modules below a folder, in the order in which a directory listing has them."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in files:
            if name.endswith(".py") and not name.endswith("_test.py"):
                yield os.path.join(parent, name)


def compile_missing(source: str) -> None:
    """Write a module's bytecode unless it is there; what does not compile is left to whoever imports it."""
    target = cache_from_source(source)
    if not os.path.exists(target):
        try:
            py_compile.compile(source, cfile=target, quiet=2, doraise=True)
        except (py_compile.PyCompileError, OSError, ValueError):
            pass


def _stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    _stopped.append(True)


def main() -> None:
    """Compile what the command line names until all is done or a SIGTERM comes."""
    signal.signal(signal.SIGTERM, _stop)
    site = sys.argv[1]
    for folder in sys.argv[2:]:
        for source in iterate_sources(os.path.join(site, folder)):
            if _stopped:
                return
            compile_missing(source)


if __name__ == "__main__":
    main()
