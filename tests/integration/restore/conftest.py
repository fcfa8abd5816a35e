"""A store that all tests of this folder copy; each test has its own machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command_fixtures import index, kernel_wheels, machine, shared_index, shared_uv_cache
from support.index_server import Index
from support.mirror import archive, mirror, python
from support.packages import wheel
from support.user_machine import UserMachine

__all__ = [
    "archive",
    "index",
    "kernel_wheels",
    "machine",
    "mirror",
    "pushed_store",
    "python",
    "shared_index",
    "shared_uv_cache",
    "store",
]


@dataclass(frozen=True)
class PushedStore:
    """A store's folder, and the text of the pushed lock."""

    folder: Path
    lock: str


@pytest.fixture(scope="session")
def pushed_store(
    shared_index: Index, shared_uv_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> PushedStore:
    """A store with the environment of `tiny` 1.0."""
    root = tmp_path_factory.mktemp("pushed")
    with shared_index.restore_afterwards():
        shared_index.add(*wheel("tiny", "1.0"))
        machine = UserMachine(root, shared_index, shared_uv_cache)
        machine.up().expect(0)
        folder = root / "shared"
        machine.run("store", "push", "tiny", "--store", str(folder)).expect(0)
        pushed = PushedStore(folder, machine.lock.read_text())
    machine.run("down", "tiny").expect(0)
    return pushed


@pytest.fixture
def store(pushed_store: PushedStore, machine: UserMachine, tmp_path: Path) -> Path:
    """A copy of the store. The machine has the lock beside its profile, and an empty uv cache."""
    folder = tmp_path / "shared"
    shutil.copytree(pushed_store.folder, folder)
    machine.lock.write_text(pushed_store.lock)
    machine.environ["UV_CACHE_DIR"] = str(machine.root / "empty-cache")
    return folder
