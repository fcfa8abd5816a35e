"""Small environments with each supported Python and Colab's own kernel."""

from __future__ import annotations

import pytest

from support.colab import steps
from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.pythons import MINORS

pytestmark = [pytest.mark.slow, pytest.mark.network]


BETWEEN = [pytest.param(minor, marks=pytest.mark.extended) for minor in ("3.8", "3.10", "3.11", "3.12")]


@pytest.mark.parametrize("minor", ["3.7", *BETWEEN, "3.13"])
def test_environment_with_this_python(
    minor: str, machine: ColabMachine, notebook: Page, request: pytest.FixtureRequest
) -> None:
    if minor not in machine.pythons:
        missing = ", ".join(version for version in MINORS if version not in machine.pythons)
        pytest.skip(f"no CPython {minor} on this machine (missing: {missing})")
    if minor == "3.11":
        name = request.getfixturevalue("small")
    else:
        name = f"small-{minor}"
        text = f'python: "{minor}"\npackages: [six==1.16.0]\nverify: {{imports: [six]}}\n'
        done = steps.up(notebook, steps.write_profile(machine, name, text))
        steps.assert_clean(done)
        assert steps.result_lines(done)[0].startswith(f"✓ {name} is ready: Python {minor}.")
    notebook.reload(f"colabenv-{name}")
    assert notebook.messages == []
    prefix = steps.path_inside(machine, steps.environment_folder(machine, name))

    assert steps.run_and_read(notebook, "import sys\nprint('%d.%d' % sys.version_info[:2], sys.prefix)") == (
        f"{minor} {prefix}"
    )
    assert steps.run_and_read(notebook, steps.KERNEL_CLASS) == steps.COLAB_KERNEL
    notebook.secrets = {"KEY": "s3cret"}
    cell = "from google.colab import userdata\nprint(userdata.get('KEY'))"
    assert steps.run_and_read(notebook, cell) == "s3cret"
    site = f"{prefix}/lib/python{minor}/site-packages"
    assert f" from {site}/pip (python {minor})" in steps.run_and_read(notebook, "%pip --version")
    command = "!python -c 'import six; print(six.__file__, six.__version__)'"
    assert steps.run_and_read(notebook, command) == f"{site}/six.py 1.16.0"
