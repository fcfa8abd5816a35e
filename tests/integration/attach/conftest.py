"""One attached notebook for each Jupyter stack, shared by the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.attach.notebook import Notebook
from support.attach.stacks import COLAB, TODAY

HERE = Path(__file__).parent
STACKS = [pytest.param(COLAB, id="colab"), pytest.param(TODAY, id="today")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stacks are installed from the package index if the tests' cache does not hold them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.network)


@pytest.fixture(scope="session", params=STACKS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook that attached to `demo` in its first cells."""
    with Notebook(request.param, tmp_path_factory.mktemp("notebook")) as notebook:
        notebook.load()
        yield notebook


@pytest.fixture
def notebook(shared: Notebook) -> Notebook:
    """The shared notebook, attached to `demo` whatever the test before it did."""
    shared.run("%colabenv attach demo")
    return shared


@pytest.fixture(params=STACKS)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Notebook]:
    """A notebook for a test that breaks something; nothing is loaded yet."""
    with Notebook(request.param, tmp_path) as notebook:
        yield notebook
