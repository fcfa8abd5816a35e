"""Unit tests are quick and need nothing from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.patience import PATIENCE

HERE = Path(__file__).parent
#: Seconds of the processor that a unit test may take at most, with its children; nearly all take milliseconds.
MOST = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop a unit test that does not end, and refuse one that is marked slow or as using the network."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        for mark in ("network", "slow"):
            if item.get_closest_marker(mark):
                raise pytest.UsageError(
                    f"{item.nodeid} is marked {mark}, so it does not belong in tests/unit"
                )
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(PATIENCE + 60))


def _taken() -> float:
    """Seconds of the processor that this process and its children that have ended took so far."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Fail a unit test that is not quick. A disk that stands still, or other people's work, is not its fault."""
    before = _taken()
    yield
    taken = _taken() - before
    assert taken < MOST, (
        f"the test took {taken:.1f} s of the processor, of {MOST:.0f} that a unit test may take"
    )
