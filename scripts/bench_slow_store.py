"""What a store costs that is of no use: `up` of a plain kernel without a store, and with one that is gone or slow.

All take their turns in one run, each on a machine that has nothing yet, with one index on loopback without a limit.
What a turn leaves stays to the end: on ext4 files are slow to make for minutes after many were removed. Seconds are
those of `up` less the proof. Usage: `.venv/bin/python scripts/bench_slow_store.py [ROUNDS]`; prints JSON.
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

from support.bench import Bench
from support.index_server import Index
from support.packages import wheel
from support.throttle import Throttle, served
from support.wheelhouse import wheelhouse

CACHE = Path(os.environ.get("COLABENV_TEST_CACHE") or Path(__file__).resolve().parents[1] / ".cache")


@contextlib.contextmanager
def _nothing() -> Iterator[str]:
    yield "none"


@contextlib.contextmanager
def _refusing() -> Iterator[str]:
    yield "http://127.0.0.1:9/team"


def _machine(folder: Path, index: Index) -> Bench:
    """One that has nothing."""
    root = Path(tempfile.mkdtemp(dir=folder))
    return Bench(root, index, root / "uv-cache")


def _turn(machine: Bench, lock: str, url: str) -> tuple[float, int]:
    """Seconds without the proof, and how many packages came from the store."""
    machine.lock.write_text(lock)
    done = machine.up("--frozen", "--store", url, "--json").expect(0)
    result = json.loads(done.text[done.text.index("\n{") + 1 :])
    seconds = sum(value for name, value in result["seconds"].items() if name != "prove")
    return round(seconds, 2), len(result["store"].get("restored", ()))


def main() -> None:
    """Run the rounds and print what they took."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder, Index(wheelhouse(CACHE, Path(sys.executable))) as index:
        index.add(*wheel("tiny", "1.0"))
        machine = _machine(Path(folder), index)
        lock, store = machine.lock, Path(folder) / "shared"
        machine.up().expect(0)
        machine.run("store", "push", "tiny", "--store", str(store)).expect(0)
        ways = {
            "no store": _nothing,
            "gone": _refusing,
            "silent": lambda: served(store, Throttle(silent=".")),
            "silent after the manifest": lambda: served(store, Throttle(silent="layers")),
            "1 MB/s": lambda: served(store, Throttle(rate=1e6)),
            "3 MB/s": lambda: served(store, Throttle(rate=3e6)),
            "10 MB/s": lambda: served(store, Throttle(rate=1e7)),
            "unlimited": lambda: served(store, Throttle()),
        }
        took: dict[str, list[tuple[float, int]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                with way() as url:
                    took[name].append(_turn(_machine(Path(folder), index), lock.read_text(), url))
    floor = statistics.median(seconds for seconds, _ in took["no store"])
    table = {
        name: {
            "median": (middle := statistics.median(seconds for seconds, _ in turns)),
            "over no store": round(middle - floor, 2),
            "turns": [seconds for seconds, _ in turns],
            "restored": [count for _, count in turns],
        }
        for name, turns in took.items()
    }
    sys.stdout.write(
        json.dumps({"rounds": rounds, "load": os.getloadavg(), "seconds": table}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
