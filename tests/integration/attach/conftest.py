"""One attached notebook per Jupyter stack, shared by the tests that do not change it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.attach.notebook import Notebook
from support.attach.stacks import COLAB, TODAY

HERE = Path(__file__).parent
STACKS = [pytest.param(COLAB, id="colab"), pytest.param(TODAY, id="today")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests as `network`: stacks that are not in the tests' cache are installed from the package index."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.network)


@pytest.fixture(scope="session", params=STACKS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """A notebook that is attached to `demo`."""
    with Notebook(request.param, tmp_path_factory.mktemp("notebook")) as notebook:
        notebook.load()
        yield notebook


@pytest.fixture
def notebook(shared: Notebook) -> Notebook:
    """The shared notebook, attached to `demo` again before each test."""
    shared.run("%colabenv attach demo")
    return shared


@pytest.fixture(params=STACKS)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Notebook]:
    """A new notebook, without the extension, for a test that breaks it."""
    with Notebook(request.param, tmp_path) as notebook:
        yield notebook
