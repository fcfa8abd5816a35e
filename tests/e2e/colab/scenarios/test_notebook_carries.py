"""A notebook that names its environment and builds it, on a machine that has never seen it."""

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

PROFILE = "name: carried\npackages: [six==1.16.0]\nverify: {imports: [six]}\n"
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


def lesson(machine: ColabMachine, *options: str) -> Path:
    """Write a notebook and its profile to /content and have the notebook carry it, from a terminal there."""
    (machine.content / "carried.yaml").write_text(PROFILE)
    notebook = machine.content / "lesson.ipynb"
    notebook.write_text(json.dumps(LESSON, indent=2))
    arguments = ["notebook", "set", "lesson.ipynb", "--profile", "carried.yaml", "--json", *options]
    # The person's own machine has colabenv, whether or not the one that opens the notebook does.
    done = machine.run("python3", "-m", "colabenv", *arguments)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["action"] == "changed"
    return notebook


def run_first_cell(page: Page, notebook: Path) -> CellResult:
    """Run the cell that `notebook set` wrote."""
    cell = json.loads(notebook.read_text())["cells"][0]
    assert cell["metadata"]["colabenv"]["profile"] == "carried.yaml"
    done = page.run("".join(cell["source"]), timeout=300)
    assert done.status == "ok", done.screen
    return done


@pytest.fixture
def fresh() -> Iterator[ColabMachine]:
    """A machine of its own, whose base the test may change."""
    with ColabMachine() as machine:
        yield machine


def test_the_notebook_builds_its_environment_and_continues_in_it(colab: ColabMachine) -> None:
    notebook = lesson(colab)
    before = colab.snapshot()
    page = colab.open("lesson.ipynb")
    assert page.messages == ['Unrecognized runtime "colabenv-carried"; defaulting to "python3"']
    first = run_first_cell(page, notebook)
    assert "✓ carried is ready" in first.screen
    page.reload()
    assert page.kernel_name == "colabenv-carried"
    assert page.run("import six; six.__version__").result == "'1.16.0'"

    again = run_first_cell(page, notebook)
    assert "✓ carried is ready: nothing has changed" in again.screen
    assert again.screen.rstrip().endswith("This notebook already runs in it.")
    listed = page.run("!python -m pip list --format=freeze").screen
    assert "six==1.16.0" in listed
    assert "colabenv" not in listed
    assert snapshot.differences(before, colab.snapshot()) == []
    kept = json.loads(notebook.read_text())
    assert kept["cells"][1:] == LESSON["cells"]
    page.shut_down()


def test_the_first_cell_installs_colabenv_if_missing(fresh: ColabMachine) -> None:
    wheel = base.build_wheel()
    shutil.copy(wheel, fresh.content)
    notebook = lesson(fresh, "--install", f"./{wheel.name}")
    removed = fresh.run("python3", "-m", "pip", "uninstall", "--yes", "--quiet", "colabenv")
    assert removed.returncode == 0, removed.stderr
    # A clone of the project beside the notebook, which Python would take for a package of that name.
    (fresh.content / "colabenv").mkdir()
    page = fresh.open("lesson.ipynb")
    assert "No module named colabenv" in page.run("!python -m colabenv --version").screen

    assert "✓ carried is ready" in run_first_cell(page, notebook).screen
    page.reload()
    assert page.kernel_name == "colabenv-carried"

    # Should the base lose colabenv again, the cell in the environment says so and installs nothing into it.
    gone = fresh.run("python3", "-m", "pip", "uninstall", "--yes", "--quiet", "colabenv")
    assert gone.returncode == 0, gone.stderr
    environments = fresh.home / ".local" / "share" / "colabenv" / "envs"
    broken = run_first_cell(page, notebook)
    assert "No module named colabenv" in broken.screen
    assert list(environments.rglob("colabenv-*.dist-info")) == []
    page.shut_down()
