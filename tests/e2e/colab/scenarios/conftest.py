"""The machine of scenarios that do not change its default kernel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from support.colab import steps
from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.pythons import MINORS

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def machine() -> Iterator[ColabMachine]:
    """A Colab machine with every CPython of this machine."""
    with ColabMachine(pythons=MINORS) as colab_machine:
        yield colab_machine


@pytest.fixture
def notebook(machine: ColabMachine) -> Iterator[Page]:
    """A new notebook on that machine, attached to Colab's own kernel; both end with the test."""
    opened = machine.open(f"scenario-{next(_numbers)}.ipynb")
    yield opened
    opened.shut_down()


@pytest.fixture(scope="session")
def small(machine: ColabMachine) -> str:
    """The name of a small environment with Python 3.11, which is ready. Its profile is `NAME.yaml`."""
    profile = steps.write_profile(
        machine, "small", 'python: "3.11"\npackages: [six==1.16.0]\nverify: {imports: [six]}\n'
    )
    page = machine.open("small.ipynb")
    steps.up(page, profile)
    page.shut_down()
    return "small"
