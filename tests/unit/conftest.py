"""Unit tests are quick and need nothing from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stop a unit test after 20 seconds, and refuse one that is marked slow or as using the network."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        for mark in ("network", "slow"):
            if item.get_closest_marker(mark):
                raise pytest.UsageError(
                    f"{item.nodeid} is marked {mark}, so it does not belong in tests/unit"
                )
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(20))
