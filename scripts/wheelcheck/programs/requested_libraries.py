"""List the shared libraries that TensorFlow requests from the dynamic loader. Run with an environment's Python.

TensorFlow does not link CUDA libraries. Its class `DsoLoader` has a function for each library that composes the name
and opens it, so the names are not strings in the binaries. But the wheels export these functions. This program loads
each binary that has them, calls them one by one, and reads the requests from the dynamic loader's log (LD_DEBUG=libs,
ld.so(8)). Each call runs in a forked process, because a loaded library is not requested again.

LD_DEBUG and LD_DEBUG_OUTPUT must be set. The argument is the folder of the package, reached through a link from a
folder without CUDA wheels, so that it finds none. Prints JSON: for each binary, the function's name, such as "Cublas",
to the first library that it requests.
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
REQUEST = re.compile(r"find library=(\S+) ")
#: Bytes; smaller binaries do not have the functions.
MIN_SIZE = 1_000_000
#: Bytes, more than the absl::StatusOr<void*> that the functions return through a pointer.
RESULT_SIZE = 512


def find_symbols(binary: Path) -> dict[str, str]:
    """What each function of a binary opens, such as "Cublas", to its symbol."""
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        symbols = {match.group(1).decode(): match.group()[:-1].decode() for match in SYMBOL.finditer(data)}
    return dict(sorted(symbols.items()))


def call_in_fork(function: ctypes._NamedFuncPointer) -> None:
    """Call a function in a child process, without its output."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        function.restype = ctypes.c_void_p
        function(ctypes.create_string_buffer(RESULT_SIZE))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        raise SystemExit("%s ended its process with status %d" % (function.__name__, status))  # noqa: UP031


def trace_requests(binary: Path, symbols: dict[str, str], log: Path) -> dict[str, str]:
    """Call the functions of a binary and return what they request.

    Returns:
        Each function to the first library that it requests (the others are that library's dependencies), or "" if
        loading the binary has loaded it already; and each library requested by loading the binary, to itself.
    """
    before = log.stat().st_size
    library = ctypes.CDLL(str(binary))
    requested = {name: name for name in read_requests(log, before)}
    for name, symbol in symbols.items():
        if not hasattr(library, symbol):
            continue  # not every binary exports its functions
        before = log.stat().st_size
        call_in_fork(getattr(library, symbol))
        first = read_requests(log, before)[:1]
        requested[name] = first[0] if first else ""
    return requested


def read_requests(log: Path, start: int) -> list[str]:
    """The libraries requested in the log from byte `start` on."""
    with log.open(encoding="utf-8", errors="replace") as file:
        file.seek(start)
        return REQUEST.findall(file.read())


def main() -> None:
    package = Path(sys.argv[1])
    log = Path("%s.%d" % (os.environ["LD_DEBUG_OUTPUT"], os.getpid()))  # noqa: UP031
    binaries = [path for path in sorted(package.rglob("*.so*")) if path.stat().st_size > MIN_SIZE]
    named = {
        path: functions for path, functions in ((path, find_symbols(path)) for path in binaries) if functions
    }
    requested = [trace_requests(path, functions, log) for path, functions in named.items()]
    hidden = {name for functions in named.values() for name in functions}.difference(*requested)
    if hidden:
        raise SystemExit("no binary of %s exports these functions: %s" % (package, sorted(hidden)))  # noqa: UP031
    sys.stdout.write(json.dumps(requested) + "\n")


main()
