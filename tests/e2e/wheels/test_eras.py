"""Old notebooks run again on the stand-in machine: one cell at the top, "Run all", a plot and a widget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.colab.base import REPOSITORY
from support.colab.machine import ColabMachine
from support.pythons import MINORS

pytestmark = [pytest.mark.wheels, pytest.mark.network, pytest.mark.slow]

ERAS = REPOSITORY / "tests" / "data" / "eras"
ONE_CELL = "%load_ext colabenv\n%colabenv up"
#: Seconds for the added cell, which installs the environment, and for each other cell.
UP_LIMIT, CELL_LIMIT = 1500, 300


@pytest.fixture
def machine() -> Iterator[ColabMachine]:
    """A machine of its own for each notebook, so that its environment is removed at the end."""
    with ColabMachine(pythons=MINORS) as colab_machine:
        yield colab_machine


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("file", sorted(ERAS.glob("*.ipynb")), ids=lambda file: file.stem)
def test_notebook_runs_again_with_one_cell_added(machine: ColabMachine, file: Path) -> None:
    notebook: dict[str, Any] = json.loads(file.read_text())
    added = {"cell_type": "code", "metadata": {}, "outputs": [], "source": ONE_CELL}
    notebook["cells"].insert(0, added)
    notebook["metadata"]["colab"] = {"name": file.name}
    page = machine.open(file.name, "python3")
    # Only the page has the notebook: no file was uploaded.
    page.handlers["get_ipynb"] = lambda _: {"ipynb": notebook}

    mime_types: set[str] = set()
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            code = "".join(cell["source"])
            done = page.run(code, timeout=UP_LIMIT if cell is added else CELL_LIMIT)
            assert done.status == "ok", f"{code}\n{done.screen}"
            mime_types.update(*done.displays)
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= mime_types
