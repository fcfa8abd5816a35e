"""Measure the doctor's metadata checks on an environment: no import is tried.

Usage: python scripts/bench_doctor.py PYTHON [--rounds N]

`gather_facts` reads what is installed, `with checks` has the rules judge it as well.

PYTHON is the interpreter of the environment, best one with TensorFlow and 150 distributions. Prints medians of wall
time and of processor time (ours and the children's, all cores together), which other people's work changes less.
`command` is the whole of `colabenv doctor --python PYTHON --quick`, with the start of Python and of colabenv.
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


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(name: str, rounds: int, work: Callable[[], object]) -> None:
    wall, processor = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), processor_seconds()
        work()
        wall.append(time.perf_counter() - began)
        processor.append(processor_seconds() - used)
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
    quiet = subprocess.DEVNULL
    measure("command", options.rounds, lambda: subprocess.run(argv, stdout=quiet, stderr=quiet, check=False))


if __name__ == "__main__":
    main()
