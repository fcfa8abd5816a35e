"""A machine for all tests in this folder, and a page for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.colab.machine import ColabMachine
from support.colab.page import Page

# A folder with Google's own package, for manual comparisons. Read here, because a fixture removes the variable.
REAL_GOOGLE_COLAB = os.environ.get("COLABENV_REAL_GOOGLE_COLAB")

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def colab() -> Iterator[ColabMachine]:
    """A Colab machine for tests that do not change its base."""
    with ColabMachine(google_colab=Path(REAL_GOOGLE_COLAB) if REAL_GOOGLE_COLAB else True) as machine:
        yield machine


@pytest.fixture
def page(colab: ColabMachine) -> Iterator[Page]:
    """A new notebook on that machine, attached to the default kernel; both end with the test."""
    opened = colab.open(f"test-{next(_numbers)}.ipynb")
    yield opened
    opened.shut_down()
