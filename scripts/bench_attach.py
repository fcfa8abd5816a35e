"""Measure the cost of attaching: long output and an empty cell, in turns with a plain kernel.

Usage: python scripts/bench_attach.py [--lines N] [--rounds N] [--cells N]

Both kernels run the Jupyter versions that Colab ships. The plain one is the environment's kernel; the attached one is
the same kind of kernel, reached through a notebook's kernel. Prints medians.
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


def measure_cell(notebook: Notebook, code: str) -> float:
    """Run a cell; returns its seconds."""
    started = time.perf_counter()
    cell = notebook.run(code, timeout=600)
    seconds = time.perf_counter() - started
    if cell.status != "ok":
        raise SystemExit(f"The cell failed: {cell.reply}")
    return seconds


def measure_output(notebook: Notebook, lines: int) -> float:
    """Print lines in a cell and check that all arrive; returns the seconds."""
    started = time.perf_counter()
    cell = notebook.run(f"for i in range({lines}): print(i)", timeout=600)
    seconds = time.perf_counter() - started
    if cell.text() != "".join(f"{i}\n" for i in range(lines)):
        raise SystemExit("Lines of output are missing.")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cells", type=int, default=200)
    options = parser.parse_args()
    folders = [Path(tempfile.mkdtemp(prefix="bench-")) for _ in range(2)]
    with Notebook(ENVIRONMENT, folders[0]) as plain, Notebook(COLAB, folders[1]) as attached:
        attached.load()
        outputs: dict[str, list[float]] = {"plain": [], "attached": []}
        cells: dict[str, list[float]] = {"plain": [], "attached": []}
        for _ in range(options.rounds):
            outputs["plain"].append(measure_output(plain, options.lines))
            outputs["attached"].append(measure_output(attached, options.lines))
        for _ in range(options.cells):
            cells["plain"].append(measure_cell(plain, "pass"))
            cells["attached"].append(measure_cell(attached, "pass"))
    plain_s, attached_s = (statistics.median(outputs[kind]) for kind in ("plain", "attached"))
    ratio = attached_s / plain_s
    print(f"{options.lines} lines: plain {plain_s:.2f} s, attached {attached_s:.2f} s, {ratio:.2f} times")
    plain_ms, attached_ms = (statistics.median(cells[kind]) * 1000 for kind in ("plain", "attached"))
    difference = attached_ms - plain_ms
    print(f"empty cell: plain {plain_ms:.1f} ms, attached {attached_ms:.1f} ms, {difference:.1f} ms more")


if __name__ == "__main__":
    main()
