"""Run by an environment's Python: which shared libraries its TensorFlow asks the dynamic loader for.

TensorFlow links no CUDA library. The functions of its class `DsoLoader`, one for each library, put a name together
and open it, so no list of strings in the binaries tells the names. But the wheels export those functions. This program
loads each binary that has them, calls them one by one, and reads from the dynamic loader's own log (LD_DEBUG=libs,
ld.so(8)) what was asked for. Each call happens in a forked process, since what is loaded is not asked for again.

LD_DEBUG and LD_DEBUG_OUTPUT must be set. One argument: the folder of the package, reached through a folder where no
CUDA wheels lie beside it, so that it finds none. Prints JSON: for each binary, the function's name, such as "Cublas",
to the first library that it asks for.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import sys
from pathlib import Path

SYMBOL = re.compile(rb"_ZN[0-9A-Za-z_]*?9DsoLoader[0-9]+Get([0-9A-Za-z]+)DsoHandleEv\0")
ASKED = re.compile(r"find library=(\S+) ")
#: Binaries of TensorFlow proper are larger; reading the small ones would only take time.
LEAST = 1_000_000
#: More than an absl::StatusOr<void*>, which the functions return through a pointer.
ROOM = 512


def symbols(binary: Path) -> dict[str, str]:
    """The functions that a binary names, by what they open."""
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = {match.group(1).decode(): match.group()[:-1].decode() for match in SYMBOL.finditer(data)}
    return dict(sorted(found.items()))


def call(function: ctypes._NamedFuncPointer) -> None:
    """Call it in a process of its own, without a word."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        function.restype = ctypes.c_void_p
        function(ctypes.create_string_buffer(ROOM))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        raise SystemExit("%s ended its process with status %d" % (function.__name__, status))  # noqa: UP031


def asked(binary: Path, named: dict[str, str], log: Path) -> dict[str, str]:
    """What a binary that has such functions asks for.

    Returns:
        For each function the first library it asks for (the others are what that one needs itself), "" where that
        was found while the binary was loaded; and each library asked for then, to itself.
    """
    before = log.stat().st_size
    library = ctypes.CDLL(str(binary))
    found = {name: name for name in requests(log, before)}
    for name, symbol in named.items():
        if not hasattr(library, symbol):
            continue  # some binaries keep theirs to themselves
        before = log.stat().st_size
        call(getattr(library, symbol))
        first = requests(log, before)[:1]
        found[name] = first[0] if first else ""
    return found


def requests(log: Path, start: int) -> list[str]:
    """The libraries asked for since the log had so many bytes."""
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        return ASKED.findall(file.read())


def main() -> None:
    package = Path(sys.argv[1])
    log = Path("%s.%d" % (os.environ["LD_DEBUG_OUTPUT"], os.getpid()))  # noqa: UP031
    binaries = [path for path in sorted(package.rglob("*.so*")) if path.stat().st_size > LEAST]
    named = {path: functions for path, functions in ((path, symbols(path)) for path in binaries) if functions}
    found = [asked(path, functions, log) for path, functions in named.items()]
    silent = {name for functions in named.values() for name in functions}.difference(*found)
    if silent:
        raise SystemExit("no binary of %s lets these be called: %s" % (package, sorted(silent)))  # noqa: UP031
    sys.stdout.write(json.dumps(found) + "\n")


main()
