"""Measure what attaching costs: a long stream and an empty cell, against a plain kernel, in turns.

Usage: python scripts/bench_attach.py [--lines N] [--rounds N] [--cells N]

Both kernels run Colab's Jupyter stack. The plain one is the environment's own kernel, asked directly; the
attached one is the same kind of kernel, reached through a notebook's kernel. Prints medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.attach.notebook import Notebook
from support.attach.stacks import COLAB, ENVIRONMENT


def timed(notebook: Notebook, code: str) -> float:
    began = time.perf_counter()
    cell = notebook.run(code, timeout=600)
    took = time.perf_counter() - began
    if cell.status != "ok":
        raise SystemExit(f"the cell failed: {cell.reply}")
    return took


def stream(notebook: Notebook, lines: int) -> float:
    began = time.perf_counter()
    cell = notebook.run(f"for i in range({lines}): print(i)", timeout=600)
    took = time.perf_counter() - began
    if cell.text() != "".join(f"{i}\n" for i in range(lines)):
        raise SystemExit("lines were lost")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cells", type=int, default=200)
    options = parser.parse_args()
    folders = [Path(tempfile.mkdtemp(prefix="bench-")) for _ in range(2)]
    with Notebook(ENVIRONMENT, folders[0]) as plain, Notebook(COLAB, folders[1]) as attached:
        attached.load()
        streams: dict[str, list[float]] = {"plain": [], "attached": []}
        trips: dict[str, list[float]] = {"plain": [], "attached": []}
        for _ in range(options.rounds):
            streams["plain"].append(stream(plain, options.lines))
            streams["attached"].append(stream(attached, options.lines))
        for _ in range(options.cells):
            trips["plain"].append(timed(plain, "pass"))
            trips["attached"].append(timed(attached, "pass"))
    a, b = (statistics.median(streams[kind]) for kind in ("plain", "attached"))
    print(f"{options.lines} lines: plain {a:.2f} s, attached {b:.2f} s, {b / a:.2f} times")
    a, b = (statistics.median(trips[kind]) * 1000 for kind in ("plain", "attached"))
    print(f"empty cell: plain {a:.1f} ms, attached {b:.1f} ms, {b - a:.1f} ms more")


if __name__ == "__main__":
    main()
