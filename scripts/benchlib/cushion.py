"""Memory that the machine really has, for whoever takes the next turn.

A virtual machine may hand memory that is free back to its host, and getting it again can cost seconds a gigabyte, as
system time of whoever comes next: on the machine of docs/bench.md 3 to 10. What somebody has just let go of is handed
out first and is there. So before each turn a process takes memory, in small pages as files do, and ends.

Run as a file, with -I -S: python -I -S cushion.py BYTES
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

#: A turn writes some 2.5 GB.
_BYTES = 3 << 30


def prepare() -> None:
    """Write what is still to be written to disk, and have memory ready."""
    os.sync()
    subprocess.run([sys.executable, "-I", "-S", __file__, str(_BYTES)], check=True)


def main() -> None:
    """Take memory and end."""
    count = int(sys.argv[1])
    memory = mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for start in range(0, count, mmap.PAGESIZE):
        memory[start] = 1


if __name__ == "__main__":
    main()
