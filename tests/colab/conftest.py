"""A machine for all tests here, and a page for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from colab.machine import ColabMachine
from colab.page import Page

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def colab() -> Iterator[ColabMachine]:
    """A Colab machine for tests that leave its base as it is."""
    with ColabMachine() as machine:
        yield machine


@pytest.fixture
def page(colab: ColabMachine) -> Iterator[Page]:
    """A new notebook on that machine, attached to the default kernel, which ends with the test."""
    opened = colab.open(f"test-{next(_numbers)}.ipynb")
    yield opened
    opened.shut_down()
