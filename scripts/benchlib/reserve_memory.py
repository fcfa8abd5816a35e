"""Allocate and release memory, so that the next measurement does not wait for it.

A virtual machine may return free memory to its host. Getting it back counts as system time of the next process: 3 to
10 s per GB on the machine of docs/bench.md. Memory that was released a moment ago is reused first, so before each
measurement a process allocates memory, in small pages as files do, and exits.

Run as a file: python -I -S reserve_memory.py BYTES
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

#: A measurement writes some 2.5 GB.
_BYTES = 3 << 30


def prepare_machine() -> None:
    """Flush pending writes to disk, and allocate and release memory."""
    os.sync()
    subprocess.run([sys.executable, "-I", "-S", __file__, str(_BYTES)], check=True)


def main() -> None:
    """Allocate memory and exit."""
    count = int(sys.argv[1])
    memory = mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for start in range(0, count, mmap.PAGESIZE):
        memory[start] = 1


if __name__ == "__main__":
    main()
