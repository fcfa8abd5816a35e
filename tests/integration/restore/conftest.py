"""A store that all tests of this folder copy; each test has its own machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.bench import Bench
from support.command_fixtures import bench, index, kernel_wheels, serving, unpacked
from support.index_server import Index
from support.mirror import archive, mirror, python
from support.packages import wheel

__all__ = [
    "archive",
    "bench",
    "index",
    "kernel_wheels",
    "mirror",
    "pushed_store",
    "python",
    "serving",
    "store",
    "unpacked",
]


@dataclass(frozen=True)
class PushedStore:
    """A store's folder, and the text of the pushed lock."""

    folder: Path
    lock: str


@pytest.fixture(scope="session")
def pushed_store(serving: Index, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> PushedStore:
    """A store with the environment of `tiny` 1.0."""
    root = tmp_path_factory.mktemp("pushed")
    with serving.restore_afterwards():
        serving.add(*wheel("tiny", "1.0"))
        machine = Bench(root, serving, unpacked)
        machine.up().expect(0)
        folder = root / "shared"
        machine.run("store", "push", "tiny", "--store", str(folder)).expect(0)
        pushed = PushedStore(folder, machine.lock.read_text())
    machine.run("down", "tiny").expect(0)
    return pushed


@pytest.fixture
def store(pushed_store: PushedStore, bench: Bench, tmp_path: Path) -> Path:
    """A copy of the store. The machine has the lock beside its profile, and an empty uv cache."""
    folder = tmp_path / "shared"
    shutil.copytree(pushed_store.folder, folder)
    bench.lock.write_text(pushed_store.lock)
    bench.environ["UV_CACHE_DIR"] = str(bench.root / "empty-cache")
    return folder
