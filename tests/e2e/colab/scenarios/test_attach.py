"""Attaching on the stand-in machine, with the real `up` and Colab's kernel in the base and the environment."""

from __future__ import annotations

import pytest

from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.colab.steps import (
    COLAB_KERNEL,
    KERNEL_CLASS,
    WHERE,
    assert_clean,
    environment_folder,
    path_inside,
    run_and_read,
)

pytestmark = pytest.mark.network


def test_attach_and_detach(machine: ColabMachine, notebook: Page, small: str) -> None:
    prefix = path_inside(machine, environment_folder(machine, small))
    base = run_and_read(notebook, WHERE)
    assert run_and_read(notebook, "%load_ext colabenv") == ""
    result = notebook.run(f"%colabenv up {small}.yaml")
    assert result.status == "ok", result.screen
    assert "is ready" in result.screen
    assert f"cells run in environment '{small}'" in result.screen
    assert "Change runtime type" not in result.screen
    assert_clean(result)

    assert run_and_read(notebook, WHERE) == prefix
    assert run_and_read(notebook, KERNEL_CLASS) == COLAB_KERNEL
    assert run_and_read(notebook, "import six; print(six.__version__)") == "1.16.0"
    assert run_and_read(notebook, "!which python") == f"{prefix}/bin/python"
    assert prefix in run_and_read(notebook, "%pip --version")
    notebook.secrets["TOKEN"] = "from the page"
    assert (
        run_and_read(notebook, "from google.colab import userdata\nprint(userdata.get('TOKEN'))")
        == "from the page"
    )
    notebook.typed.append("Ada")
    assert run_and_read(notebook, "print('hello', input('name? '))").endswith("hello Ada")
    assert run_and_read(notebook, "%%base\n" + WHERE) == base

    assert f"{small}.yaml is a valid profile" in run_and_read(notebook, f"%colabenv check {small}.yaml")
    assert notebook.run("%colabenv check missing.yaml").status == "error"
    failed = notebook.run("1/0")
    assert (failed.status, failed.error.ename if failed.error else "") == ("error", "ZeroDivisionError")
    assert "Colab's own Python" in run_and_read(notebook, "%colabenv detach")
    assert run_and_read(notebook, WHERE) == base


def test_up_with_restart_restarts_the_session_in_the_environment(small: str, machine: ColabMachine) -> None:
    prefix = path_inside(machine, environment_folder(machine, small))
    page = machine.open("restarted.ipynb")
    try:
        result = page.run(f'import colabenv\ncolabenv.up("{small}.yaml", restart=True)')
        assert "Restarting the session" in result.screen
        # The session ends while the next cell runs, as for a user who continues to work.
        assert page.run("import time; time.sleep(600)").status == "dead"
        page.reload()
        assert run_and_read(page, WHERE) == prefix
        # Running the same cells again, as with "Run all", has no effect.
        up = f'colabenv.up("{small}.yaml", restart=True, store="none")'
        again = run_and_read(page, f"%load_ext colabenv\nimport colabenv\n{up}")
        assert "This notebook already runs in it" in again
        assert "already runs in the colabenv environment" in run_and_read(page, "%colabenv status")
        assert f"{small}.yaml is a valid profile" in run_and_read(page, f"%colabenv check {small}.yaml")
        assert "own again" in run_and_read(page, "!python -m colabenv switch --base")
        page.restart_kernel()
        assert run_and_read(page, WHERE) != prefix
    finally:
        page.shut_down()
        machine.run("python3", "-m", "colabenv", "switch", "--base")
