"""`%colabenv up` without an argument: the page sends the notebook, and colabenv drafts its profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.colab.steps import WHERE, environment_folder, path_inside, run_and_read

pytestmark = pytest.mark.network

SETUP = "%load_ext colabenv\n%colabenv up"


def test_one_cell_builds_the_environment_of_the_open_notebook(machine: ColabMachine, notebook: Page) -> None:
    name = Path(notebook.notebook).stem
    notebook.write_cells(
        f"%pip install -q colabenv\n{SETUP}", "!pip install six==1.16.0", "import six\nprint(six)"
    )
    refused = notebook.run("!python -m colabenv up")
    assert "A `!` line cannot read the open notebook" in refused.screen
    assert "%colabenv up" in refused.screen

    done = notebook.run(SETUP, timeout=300)
    assert done.status == "ok", done.screen
    assert ("get_ipynb", "") in notebook.requests
    assert f"wrote {name}.yaml" in done.screen
    assert "six==1.16.0" in (machine.content / f"{name}.yaml").read_text()
    assert (machine.content / f"{name}.cpu.lock.txt").exists()
    prefix = path_inside(machine, environment_folder(machine, name))
    assert run_and_read(notebook, WHERE) == prefix
    assert run_and_read(notebook, "import six; print(six.__version__)") == "1.16.0"

    asked = len(notebook.requests)
    again = run_and_read(notebook, "%colabenv up")
    assert "nothing has changed" in again
    assert f"Using {name}.yaml" in again
    assert len(notebook.requests) == asked


def test_profile_in_a_cell_and_in_the_metadata(machine: ColabMachine, notebook: Page) -> None:
    cell = '%%colabenv up\nname: incell\npython: "3.11"\npackages: [six==1.16.0]\n'
    notebook.run("%load_ext colabenv")
    wrong = notebook.run(cell.replace("packages", "packges"))
    assert "the cell, line 4" in wrong.screen
    done = notebook.run(cell, timeout=300)
    assert done.status == "ok", done.screen
    prefix = path_inside(machine, environment_folder(machine, "incell"))
    assert run_and_read(notebook, WHERE) == prefix
    assert "nothing has changed" in run_and_read(notebook, cell)

    # The author stores the profile in the notebook; the next machine has neither the profile nor its lock.
    stored = machine.run(
        "python3",
        "-m",
        "colabenv",
        "notebook",
        "set",
        notebook.notebook,
        "--profile",
        "incell.yaml",
        "--embed",
    )
    assert stored.returncode == 0, stored.stdout + stored.stderr
    lock = (machine.content / "incell.cpu.lock.txt").read_text()
    for file in machine.content.glob("incell.*"):
        file.unlink()
    source = json.loads((machine.content / notebook.notebook).read_text())["cells"][0]["source"]
    opened = notebook.run("".join(source), timeout=300)
    assert opened.status == "ok", opened.screen
    assert (
        f"Wrote {Path(notebook.notebook).stem}.yaml, incell.cpu.lock.txt from the metadata" in opened.screen
    )
    assert (machine.content / "incell.cpu.lock.txt").read_text() == lock
    assert run_and_read(notebook, WHERE) == prefix
