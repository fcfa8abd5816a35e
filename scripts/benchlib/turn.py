"""Runs a program and says what it took. Run as a file, to be small: a child's peak memory begins with its parent's.

    python -I -S turn.py SAID PROGRAM ARGUMENT…

Prints JSON: seconds, processor seconds, peak memory in bytes, exit status. What the program says goes to SAID.out and
SAID.err.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def main() -> None:
    """Take one turn."""
    said, *argv = sys.argv[1:]
    load = os.getloadavg()[0]
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        _become(argv, said)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    _, status, used = os.wait4(pid, 0)
    answer = {
        "seconds": time.perf_counter() - started,
        "user": used.ru_utime,
        "system": used.ru_stime,
        "peak": used.ru_maxrss * 1024,
        "status": os.waitstatus_to_exitcode(status),
        "load": load,
    }
    print(json.dumps(answer))


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
