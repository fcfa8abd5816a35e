"""Measure what an unreachable or slow store costs: `up` of a plain kernel with such a store and without one.

The cases alternate in one run, each on an empty machine, with an unlimited index on loopback. Nothing is deleted before
the end, because on ext4 creating files is slow for minutes after many were deleted. The seconds are those of `up`
without its check. Usage: `.venv/bin/python scripts/bench_slow_store.py [ROUNDS]`; prints JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.index_server import Index
from support.packages import wheel
from support.throttle import Throttle, serve_throttled
from support.user_machine import UserMachine
from support.wheelhouse import wheelhouse

CACHE = Path(os.environ.get("COLABENV_TEST_CACHE") or Path(__file__).resolve().parents[1] / ".cache")


@contextlib.contextmanager
def _no_store() -> Iterator[str]:
    yield "none"


@contextlib.contextmanager
def _unreachable_store() -> Iterator[str]:
    yield "http://127.0.0.1:9/team"


def _make_machine(folder: Path, index: Index) -> UserMachine:
    """A machine without environments and caches."""
    root = Path(tempfile.mkdtemp(dir=folder))
    return UserMachine(root, index, root / "uv-cache")


def _measure_up(machine: UserMachine, lock: str, url: str) -> tuple[float, int]:
    """Seconds without the check, and the number of packages from the store."""
    machine.lock.write_text(lock)
    command = machine.up("--frozen", "--store", url, "--json").expect(0)
    result = json.loads(command.text[command.text.index("\n{") + 1 :])
    seconds = sum(value for name, value in result["seconds"].items() if name != "prove")
    return round(seconds, 2), len(result["store"].get("restored", ()))


def main() -> None:
    """Run the rounds and print the seconds."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder, Index(wheelhouse(CACHE, Path(sys.executable))) as index:
        index.add(*wheel("tiny", "1.0"))
        machine = _make_machine(Path(folder), index)
        lock, store = machine.lock, Path(folder) / "shared"
        machine.up().expect(0)
        machine.run("store", "push", "tiny", "--store", str(store)).expect(0)
        stores = {
            "no store": _no_store,
            "gone": _unreachable_store,
            "silent": lambda: serve_throttled(store, Throttle(silent=".")),
            "silent after the manifest": lambda: serve_throttled(store, Throttle(silent="layers")),
            "1 MB/s": lambda: serve_throttled(store, Throttle(rate=1e6)),
            "3 MB/s": lambda: serve_throttled(store, Throttle(rate=3e6)),
            "10 MB/s": lambda: serve_throttled(store, Throttle(rate=1e7)),
            "unlimited": lambda: serve_throttled(store, Throttle()),
        }
        measured: dict[str, list[tuple[float, int]]] = {name: [] for name in stores}
        for _ in range(rounds):
            for name, open_store in stores.items():
                with open_store() as url:
                    measured[name].append(
                        _measure_up(_make_machine(Path(folder), index), lock.read_text(), url)
                    )
    without_store = statistics.median(seconds for seconds, _ in measured["no store"])
    table = {
        name: {
            "median": (median := statistics.median(seconds for seconds, _ in runs)),
            "over no store": round(median - without_store, 2),
            "turns": [seconds for seconds, _ in runs],
            "restored": [count for _, count in runs],
        }
        for name, runs in measured.items()
    }
    sys.stdout.write(
        json.dumps({"rounds": rounds, "load": os.getloadavg(), "seconds": table}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
