"""Attach on the stand-in machine, with the real `up` and Colab's kernel on both sides."""

from __future__ import annotations

import pytest

from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.colab.steps import (
    COLAB_KERNEL,
    KERNEL_CLASS,
    WHERE,
    assert_clean,
    environment_of,
    inside,
    run_and_read,
)

pytestmark = pytest.mark.network


def test_attach_and_detach(machine: ColabMachine, notebook: Page, small: str) -> None:
    prefix = inside(machine, environment_of(machine, small))
    base = run_and_read(notebook, WHERE)
    assert run_and_read(notebook, "%load_ext colabenv") == ""
    said = notebook.run(f"%colabenv up {small}.yaml")
    assert said.status == "ok", said.screen
    assert "is ready" in said.screen
    assert f"cells run in environment '{small}'" in said.screen
    assert "Change runtime type" not in said.screen
    assert_clean(said)

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


def test_up_with_restart_brings_the_session_into_the_environment(small: str, machine: ColabMachine) -> None:
    prefix = inside(machine, environment_of(machine, small))
    page = machine.open("restarted.ipynb")
    try:
        said = page.run(f'import colabenv\ncolabenv.up("{small}.yaml", restart=True)')
        assert "Restarting the session" in said.screen
        # The session ends under the next cell, as it does under a person who types on.
        assert page.run("import time; time.sleep(600)").status == "dead"
        page.reload()
        assert run_and_read(page, WHERE) == prefix
        # "Run all" again: the same cells are there, and do no harm.
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
