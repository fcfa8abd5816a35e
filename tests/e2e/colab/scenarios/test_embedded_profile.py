"""A notebook with an embedded profile builds its environment on a new machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.colab import base, snapshot
from support.colab.cell import CellResult
from support.colab.machine import ColabMachine
from support.colab.page import Page

pytestmark = [pytest.mark.slow, pytest.mark.network]

PROFILE = "name: embedded\npackages: [six==1.16.0]\nverify: {imports: [six]}\n"
LESSON: dict[str, Any] = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {"colab": {"height": 35}},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["kept\n"]}],
            "source": ["print('kept')"],
        }
    ],
    "metadata": {"colab": {"provenance": []}, "kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 0,
}


def write_notebook(machine: ColabMachine, *options: str) -> Path:
    """Write a notebook and a profile to /content, and embed the profile with `notebook set`."""
    (machine.content / "embedded.yaml").write_text(PROFILE)
    notebook = machine.content / "lesson.ipynb"
    notebook.write_text(json.dumps(LESSON, indent=2))
    arguments = ["notebook", "set", "lesson.ipynb", "--profile", "embedded.yaml", "--json", *options]
    # The author's machine has colabenv, even if the machine that opens the notebook does not.
    done = machine.run("python3", "-m", "colabenv", *arguments)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["action"] == "changed"
    return notebook


def run_first_cell(page: Page, notebook: Path) -> CellResult:
    """Run the cell that `notebook set` wrote."""
    cell = json.loads(notebook.read_text())["cells"][0]
    assert cell["metadata"]["colabenv"]["profile"] == "embedded.yaml"
    done = page.run("".join(cell["source"]), timeout=300)
    assert done.status == "ok", done.screen
    return done


@pytest.fixture
def separate_machine() -> Iterator[ColabMachine]:
    """A machine whose base the test may change."""
    with ColabMachine() as machine:
        yield machine


def test_notebook_builds_its_environment_and_continues_in_it(colab: ColabMachine) -> None:
    notebook = write_notebook(colab)
    before = colab.snapshot()
    page = colab.open("lesson.ipynb")
    assert page.messages == ['Unrecognized runtime "colabenv-embedded"; defaulting to "python3"']
    first = run_first_cell(page, notebook)
    assert "✓ embedded is ready" in first.screen
    page.reload()
    assert page.kernel_name == "colabenv-embedded"
    assert page.run("import six; six.__version__").result == "'1.16.0'"

    again = run_first_cell(page, notebook)
    assert "✓ embedded is ready: nothing has changed" in again.screen
    assert again.screen.rstrip().endswith("This notebook already runs in it.")
    packages = page.run("!python -m pip list --format=freeze").screen
    assert "six==1.16.0" in packages
    assert "colabenv" not in packages
    assert snapshot.differences(before, colab.snapshot()) == []
    content = json.loads(notebook.read_text())
    assert content["cells"][1:] == LESSON["cells"]
    page.shut_down()


def test_first_cell_installs_colabenv_if_missing(separate_machine: ColabMachine) -> None:
    wheel = base.build_wheel()
    shutil.copy(wheel, separate_machine.content)
    notebook = write_notebook(separate_machine, "--install", f"./{wheel.name}")
    removed = separate_machine.run("python3", "-m", "pip", "uninstall", "--yes", "--quiet", "colabenv")
    assert removed.returncode == 0, removed.stderr
    # A folder with the name of the package, such as a clone beside the notebook, which Python could import.
    (separate_machine.content / "colabenv").mkdir()
    page = separate_machine.open("lesson.ipynb")
    assert "No module named colabenv" in page.run("!python -m colabenv --version").screen

    assert "✓ embedded is ready" in run_first_cell(page, notebook).screen
    page.reload()
    assert page.kernel_name == "colabenv-embedded"

    # If the base loses colabenv again, the cell in the environment reports it and installs nothing.
    removed = separate_machine.run("python3", "-m", "pip", "uninstall", "--yes", "--quiet", "colabenv")
    assert removed.returncode == 0, removed.stderr
    environments = separate_machine.home / ".local" / "share" / "colabenv" / "envs"
    broken = run_first_cell(page, notebook)
    assert "No module named colabenv" in broken.screen
    assert list(environments.rglob("colabenv-*.dist-info")) == []
    page.shut_down()
