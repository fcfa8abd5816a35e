"""Measure the doctor's metadata checks on an environment, without imports.

Usage: python scripts/bench_doctor.py PYTHON [--rounds N]

PYTHON is the interpreter of an environment, preferably with TensorFlow and 150 distributions. Prints medians of elapsed
time and of processor time (of this process and its children, over all cores), which load affects less. `gather` reads
what is installed, `with checks` also runs the checks, and `command` is `colabenv doctor --python PYTHON --quick`,
including the start of Python.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from colabenv.doctor.checks import diagnose
from colabenv.doctor.facts import Target, gather_facts
from colabenv.system.process import SystemRunner


def read_processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(name: str, rounds: int, work: Callable[[], object]) -> None:
    wall, processor = [], []
    for _ in range(rounds):
        started, processor_before = time.perf_counter(), read_processor_seconds()
        work()
        wall.append(time.perf_counter() - started)
        processor.append(read_processor_seconds() - processor_before)
    print(
        f"{name:12} {statistics.median(wall):.3f} s wall ({min(wall):.3f} to {max(wall):.3f}), "
        f"{statistics.median(processor):.3f} s processor"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    target = Target(
        options.python, "interpreter", str(Path(options.python).absolute()), dict(os.environ), str(Path.cwd())
    )
    runner = SystemRunner()
    facts = gather_facts(target, runner)
    print(f"{len(facts.distributions)} distributions, load {os.getloadavg()[0]:.1f}")
    measure("gather", options.rounds, lambda: gather_facts(target, runner))
    measure("with checks", options.rounds, lambda: diagnose(gather_facts(target, runner)))
    argv = [sys.executable, "-m", "colabenv", "doctor", "--python", options.python, "--quick", "--json"]
    discard = subprocess.DEVNULL
    measure(
        "command", options.rounds, lambda: subprocess.run(argv, stdout=discard, stderr=discard, check=False)
    )


if __name__ == "__main__":
    main()
