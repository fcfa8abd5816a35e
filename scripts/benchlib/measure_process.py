"""Run a program and measure it. Run it as a file: a child's peak memory starts with that of its parent.

    python -I -S measure_process.py OUTPUT PROGRAM ARGUMENT…

Prints JSON: seconds, processor seconds, peak memory in bytes, exit status. The program's output goes to OUTPUT.out and
OUTPUT.err.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def main() -> None:
    """Run the program that the arguments name."""
    output, *argv = sys.argv[1:]
    load = os.getloadavg()[0]
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        _exec(argv, output)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    _, status, used = os.wait4(pid, 0)
    result = {
        "seconds": time.perf_counter() - started,
        "user": used.ru_utime,
        "system": used.ru_stime,
        "peak": used.ru_maxrss * 1024,
        "status": os.waitstatus_to_exitcode(status),
        "load": load,
    }
    print(json.dumps(result))


def _exec(argv: list[str], output: str) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, end in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{output}.{end}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        os.execvp(argv[0], argv)  # noqa: S606 - the program to measure
    finally:
        os._exit(127)


if __name__ == "__main__":
    main()
