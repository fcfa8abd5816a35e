"""Fixtures for tests that run the real command line with their own package index."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from support.index_server import Index, project_of
from support.packages import wheel
from support.user_machine import UserMachine
from support.wheelhouse import wheelhouse


@pytest.fixture(scope="session")
def kernel_wheels(uv_cache: Path) -> Path:
    """The wheels of a plain kernel for the Python that runs the tests."""
    return wheelhouse(uv_cache.parent, Path(sys.executable))


@pytest.fixture(scope="session")
def shared_uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for uv that tests share if their faults do not affect it."""
    return tmp_path_factory.mktemp("uv-cache")


@pytest.fixture(scope="session")
def shared_index(kernel_wheels: Path) -> Iterator[Index]:
    """One index for the whole run. Its address stays the same, so that uv unpacks a kernel's wheels only once."""
    with Index(kernel_wheels) as started:
        yield started


@pytest.fixture
def index(shared_index: Index, shared_uv_cache: Path) -> Iterator[Index]:
    """The index with the wheels of a kernel and `tiny` 1.0. Each test's changes are undone at its end."""
    with shared_index.restore_afterwards() as added:
        shared_index.add(*wheel("tiny", "1.0"))
        yield shared_index
    clean = [find_uv_bin(), "cache", "clean", "--quiet", *sorted({project_of(name) for name in added})]
    subprocess.run(clean, env={**os.environ, "UV_CACHE_DIR": str(shared_uv_cache)}, check=True)


@pytest.fixture
def machine(tmp_path: Path, index: Index, shared_uv_cache: Path) -> UserMachine:
    """A user's machine that is configured for this index."""
    return UserMachine(tmp_path, index, shared_uv_cache)
