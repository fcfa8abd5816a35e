"""Runs a program and says what it took. Run as a file, to be small: a child's peak memory begins with its parent's.

    python -I -S turn.py BYTES [SAID PROGRAM ARGUMENT…]

First what was written before goes to disk, and BYTES of memory are taken and given back. A virtual machine hands memory
that is free back to its host, and getting it again can cost seconds a gigabyte (3 on the machine of docs/bench.md),
which would fall on whoever comes next. Prints JSON: seconds, processor seconds, peak memory in bytes, exit status. What
the program says goes to SAID.out and SAID.err.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import time

_HUGE = 2 << 20


def main() -> None:
    """Take one turn."""
    os.sync()
    _take_memory(int(sys.argv[1]))
    if not sys.argv[2:]:
        return
    said, *argv = sys.argv[2:]
    load = os.getloadavg()[0]
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        _become(argv, said)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    _, status, used = os.wait4(pid, 0)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "user": used.ru_utime,
                "system": used.ru_stime,
                "peak": used.ru_maxrss * 1024,
                "status": os.waitstatus_to_exitcode(status),
                "load": load,
            }
        )
    )


def _take_memory(count: int) -> None:
    """In a child, since a peak would be handed on to the program."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    if count:
        memory = mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
        for start in range(0, count, _HUGE):
            memory[start] = 1
    os._exit(0)


def _become(argv: list[str], said: str) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, end in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{said}.{end}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        os.execvp(argv[0], argv)  # noqa: S606 - this program's work
    finally:
        os._exit(127)


if __name__ == "__main__":
    main()
