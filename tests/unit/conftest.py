"""Unit tests are quick and use no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.timeouts import TIMEOUT

HERE = Path(__file__).parent
#: Seconds of processor time that a unit test may use, with its child processes. Nearly all take milliseconds.
MAX_PROCESSOR_SECONDS = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each unit test a timeout, and refuse tests marked `slow` or `network`."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        for mark in ("network", "slow"):
            if item.get_closest_marker(mark):
                raise pytest.UsageError(
                    f"{item.nodeid} is marked {mark}, so it does not belong in tests/unit"
                )
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT + 60))


def _processor_seconds() -> float:
    """Processor time used so far by this process and its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.fixture(autouse=True)
def limited_processor_time() -> Iterator[None]:
    """Fail a test that uses too much processor time. A slow disk or a busy machine does not count."""
    before = _processor_seconds()
    yield
    used = _processor_seconds() - before
    assert used < MAX_PROCESSOR_SECONDS, (
        f"the test used {used:.1f} s of processor time; a unit test may use {MAX_PROCESSOR_SECONDS:.0f} s"
    )
