"""`%colabenv why` on the stand-in machine explains the last exception and does not change the session."""

from __future__ import annotations

import time

import pytest

from support.colab.cell import CellResult
from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.colab.steps import run_and_read

pytestmark = pytest.mark.network

# A loaded module with another version than the one on disk.
_OLDER = "import PIL\nPIL.__version__ = '1.2.3'"
_FAILS = "from keras_applications.resnet import ResNet50"


def run_failing_import(page: Page) -> CellResult:
    """Run a failing import; tries again if it was slow, because a slow explanation is left out."""
    for _ in range(3):
        started = time.monotonic()
        failed = page.run(_FAILS)
        if time.monotonic() - started < 10:
            break
    return failed


def test_why_in_colabs_own_kernel(machine: ColabMachine, notebook: Page) -> None:
    run_and_read(notebook, "%load_ext colabenv")
    assert "No cell has failed" in notebook.run("%colabenv why").screen
    before = run_and_read(notebook, "kept = 41\nimport sys\nprint(len(sys.modules) > 0)")
    assert before == "True"
    assert notebook.run(_FAILS).status == "error"
    output = run_and_read(notebook, "%colabenv why")
    assert "[CE401]" in output
    assert (
        "change  from keras_applications.resnet import ResNet50  to  from keras.applications.resnet" in output
    )
    # An error in the user's own code is shown unchanged, and the session has not changed.
    assert notebook.run("d = {}\nd['no such key']").status == "error"
    assert "no such key" in run_and_read(notebook, "%colabenv why")
    assert (
        run_and_read(notebook, "print(kept + 1, [n for n in sys.modules if n.startswith('colabenv.doctor')])")
        == "42 []"
    )


def test_modules_imported_before_an_upgrade(machine: ColabMachine, notebook: Page) -> None:
    run_and_read(notebook, "%load_ext colabenv")
    run_and_read(notebook, _OLDER)
    assert notebook.run("from PIL import no_such_name").status == "error"
    output = run_and_read(notebook, "%colabenv why")
    assert "1.2.3" in output
    assert "Restart session" in output


def test_always_adds_an_explanation_to_errors(machine: ColabMachine, notebook: Page) -> None:
    run_and_read(notebook, "%load_ext colabenv")
    run_and_read(notebook, "%colabenv why --always")
    failed = run_failing_import(notebook)
    assert failed.error
    assert failed.error.ename == "ModuleNotFoundError"
    added = [line for line in failed.screen.splitlines() if line.startswith("colabenv: ")]
    assert len(added) == 1
    assert "[CE401]" in added[0]
    assert "colabenv" not in notebook.run("1/0").screen
    run_and_read(notebook, "%colabenv why --never")
    assert "colabenv: " not in notebook.run(_FAILS).screen


def test_attached_and_in_the_environments_own_kernel(
    machine: ColabMachine, notebook: Page, small: str
) -> None:
    run_and_read(notebook, "%load_ext colabenv")
    run_and_read(notebook, f"%colabenv attach {small}")
    run_and_read(notebook, "%colabenv why --always")
    failed = run_failing_import(notebook)
    assert failed.status == "error"
    assert "colabenv: keras_applications" in failed.screen
    run_and_read(notebook, "%colabenv why --never")
    output = run_and_read(notebook, "%colabenv why")
    assert "[CE401]" in output
    assert f"the environment {small}" in output
    assert notebook.run("%%base\nimport nothing_of_the_base").status == "error"
    assert "Colab's own Python" in run_and_read(notebook, "%colabenv why")
    assert run_and_read(notebook, "import six; print(six.__version__)") == "1.16.0"

    own = machine.open("own.ipynb", kernel=f"colabenv-{small}")
    try:
        run_and_read(own, "%load_ext colabenv")
        assert own.run(_FAILS).status == "error"
        output = run_and_read(own, "%colabenv why")
        assert "[CE401]" in output
        assert f"the environment {small}" in output
        run_and_read(own, "%colabenv why --always")
        assert "colabenv: keras_applications" in run_failing_import(own).screen
    finally:
        own.shut_down()
