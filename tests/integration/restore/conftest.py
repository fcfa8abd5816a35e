"""One store for all tests of this folder, made as a person makes one; each test has its own machine and index."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.bench import Bench
from support.benches import bench, index, kernel_wheels, serving, unpacked
from support.index_server import Index
from support.mirror import archive, mirror, python
from support.packages import wheel

__all__ = [
    "archive",
    "bench",
    "index",
    "kept",
    "kernel_wheels",
    "mirror",
    "python",
    "serving",
    "store",
    "unpacked",
]


@dataclass(frozen=True)
class Kept:
    """What was built and pushed once.

    Attributes:
        store: its folder.
        lock: text of the lock.
        said: by `store push`.
    """

    store: Path
    lock: str
    said: str


@pytest.fixture(scope="session")
def kept(serving: Index, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The environment of `tiny` 1.0 in a store."""
    root = tmp_path_factory.mktemp("kept")
    with serving.as_it_is():
        serving.add(*wheel("tiny", "1.0"))
        machine = Bench(root, serving, unpacked)
        machine.up().expect(0)
        folder = root / "shared"
        done = machine.run("store", "push", "tiny", "--store", str(folder)).expect(0)
        kept = Kept(folder, machine.lock.read_text(), done.text)
    machine.run("down", "tiny").expect(0)
    return kept


@pytest.fixture
def store(kept: Kept, bench: Bench, tmp_path: Path) -> Path:
    """A copy of the store for one test, whose machine has the lock beside its profile and nothing in uv's cache."""
    folder = tmp_path / "shared"
    shutil.copytree(kept.store, folder)
    bench.lock.write_text(kept.lock)
    bench.environ["UV_CACHE_DIR"] = str(bench.root / "empty-cache")
    return folder
