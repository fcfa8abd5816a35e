"""`up` of addresses: profiles, and notebooks whose imports need more than their packages declare."""

from __future__ import annotations

import hashlib
import json
import platform

import pytest

from support.index_server import Index
from support.packages import sdist, wheel
from support.user_machine import TINY, UserMachine


@pytest.fixture
def site(index: Index) -> Index:
    """The index, which also serves a profile and a notebook.

    `tabulate` imports wrapt and `termcolor` imports xlrd, which they do not declare; the index has no xlrd. `killer`
    ends the process that imports it.
    """
    index.add(*wheel("tabulate", "1.0", files={"tabulate.py": "import wrapt\n"}))
    index.add(*wheel("wrapt", "1.0"))
    index.add(*wheel("termcolor", "1.0", files={"termcolor.py": "import xlrd\n"}))
    index.add(*wheel("killer", "1.0", files={"killer.py": "import os\nos._exit(1)\n"}))
    index.extra_files["/course/tiny.yaml"] = TINY.encode()
    return index


def serve_notebook(site: Index, *cells: str) -> str:
    """Serve a notebook; returns its address."""
    content = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": cell}
            for cell in cells
        ],
        "metadata": {"language_info": {"name": "python", "version": platform.python_version()}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    site.extra_files["/course/lesson.ipynb"] = json.dumps(content).encode()
    return f"{site.site}/course/lesson.ipynb"


def test_profile_at_an_address(machine: UserMachine, site: Index) -> None:
    address = f"{site.site}/course/tiny.yaml"
    machine.profile.unlink()
    assert "is ready" in machine.run("up", address).expect(0).text
    assert machine.lock.exists()
    assert not machine.profile.exists()
    machine.assert_kernel_works()
    assert "nothing has changed" in machine.run("up", address).expect(0).text
    assert "tiny works" in machine.run("verify", "tiny").expect(0).text

    site.extra_files["/course/tiny.yaml"] = TINY.encode() + b"env: {A: b}\n"
    old = hashlib.sha256(TINY.encode()).hexdigest()
    assert "nothing has changed" in machine.run("up", f"{address}#sha256={old}").expect(0).text
    assert "nothing has changed" not in machine.run("up", address).expect(0).text
    assert machine.cell("import os; print(os.environ['A'])") == "b"


def test_imports_of_a_notebook_add_what_packages_do_not_declare(machine: UserMachine, site: Index) -> None:
    address = serve_notebook(site, "!pip install tabulate", "import tabulate\nimport my_utils")
    done = machine.run("up", address).expect(0)
    assert "adding to lesson.yaml: wrapt (`import tabulate`)" in done.text
    assert "`import my_utils` fails: ModuleNotFoundError" in done.text
    profile = machine.project / "lesson.yaml"
    assert "  - wrapt  # the check found that `import tabulate` needs it\n" in profile.read_text()
    assert machine.cell("import tabulate; print(tabulate.wrapt.VERSION)", "lesson") == "1.0"
    again = machine.run("up", address).expect(0)
    assert "nothing has changed" in again.text
    assert "Using lesson.yaml" in again.text


def test_packages_without_wheels_are_built_for_a_notebook(machine: UserMachine, site: Index) -> None:
    site.add(*sdist("handmade", "1.0"))
    site.add(*sdist("homemade", "1.0"))
    address = serve_notebook(site, "!pip install handmade homemade", "import handmade, homemade")
    done = machine.run("up", address).expect(0)
    for name in ("handmade", "homemade"):
        assert f"{name} has no wheel for this Python, so it is built from source" in done.text
    assert machine.cell("import handmade, homemade; print(homemade.BUILT_FROM_SOURCE)", "lesson") == "True"
    # A profile that its user wrote builds only what that names.
    profile = machine.project / "lesson.yaml"
    profile.write_text('name: "lesson"\npackages: [handmade]\n')
    assert "source_builds: [handmade]" in machine.run("up", address).expect(4).text


def test_draft_that_no_versions_satisfy_gives_up_what_was_requested(
    machine: UserMachine, site: Index
) -> None:
    address = serve_notebook(site, "!pip install absent tiny==9.9", "import tiny")
    done = machine.run("up", address).expect(0)
    assert "lesson.yaml now leaves out absent, which no cell imports." in done.text
    assert "lesson.yaml now requests no versions of packages." in done.text
    assert machine.cell("import tiny; print(tiny.VERSION)", "lesson") == "1.0"
    assert (
        "- tiny  # no versions satisfied the profile with tiny==9.9"
        in (machine.project / "lesson.yaml").read_text()
    )

    address = serve_notebook(site, "!pip install tiny==9.9 absent", "import absent")
    (machine.project / "lesson.yaml").unlink()
    machine.run("up", address).expect(4)
    assert "tiny==9.9" in (machine.project / "lesson.yaml").read_text()


def test_imports_that_cannot_work_leave_the_draft_as_it_was(machine: UserMachine, site: Index) -> None:
    address = serve_notebook(site, "!pip install termcolor", "import termcolor")
    done = machine.run("up", address).expect(0)
    assert "lesson.yaml stays as it was" in done.text
    assert (
        "`import termcolor` fails: ModuleNotFoundError: No module named 'xlrd'. If xlrd is a package"
        in done.text
    )
    assert "- xlrd" not in (machine.project / "lesson.yaml").read_text()
    assert machine.cell("print('works')", "lesson") == "works"
    assert "nothing has changed" in machine.run("up", "lesson.yaml").expect(0).text


def test_import_that_ends_the_kernel_does_not_fail_the_check(machine: UserMachine, site: Index) -> None:
    address = serve_notebook(site, "!pip install killer tiny", "import tiny\nimport killer")
    # The kernel may die before it has reported which import it tries.
    assert "fails: the kernel died" in machine.run("up", address).expect(0).text
    assert machine.cell("import tiny; print(tiny.VERSION)", "lesson") == "1.0"
