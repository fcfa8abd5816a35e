"""The quickstart: from a cell in Colab's own kernel to a notebook that runs TensorFlow 2.15."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.colab import base, snapshot, steps
from support.colab.cell import CellResult
from support.colab.machine import ColabMachine
from support.colab.page import Page

pytestmark = [pytest.mark.slow, pytest.mark.network]

PROFILE = base.REPOSITORY / "profiles" / "quickstart.yaml"
PREDICT = """
import keras, numpy as np, tensorflow as tf
model = tf.keras.applications.MobileNetV2(weights=None)
print(model.predict(np.zeros((1, 224, 224, 3)), verbose=0).shape)
print(tf.__version__, keras.__version__)
print(tf.__file__)
"""


@dataclass(frozen=True)
class Quickstart:
    """The quickstart environment and the notebook that uses its kernel.

    Attributes:
        machine: the machine.
        page: the notebook, on the environment's kernel.
        prefix: the environment's folder, as a path inside the machine.
        done: the cell that built the environment.
        messages: messages of the page when the notebook was loaded again.
        before: a snapshot of the base at the beginning.
    """

    machine: ColabMachine
    page: Page
    prefix: str
    done: CellResult
    messages: list[str]
    before: dict[str, snapshot.Entry]


def set_traps(machine: ColabMachine) -> None:
    """Create modules in a folder of Colab's PYTHONPATH and in the user's site-packages."""
    env_python = machine.folder / "env"
    (env_python / "trap_of_pythonpath.py").touch()
    user_site = machine.home / ".local/lib/python3.11/site-packages"
    user_site.mkdir(parents=True)
    (user_site / "trap_of_user_site.py").touch()


@pytest.fixture(scope="module")
def quickstart(machine: ColabMachine) -> Iterator[Quickstart]:
    set_traps(machine)
    before = machine.snapshot()
    (machine.content / "profile.yaml").write_text(PROFILE.read_text())
    page = machine.open("quickstart.ipynb")
    done = steps.up(page, "profile.yaml", timeout=500)
    page.reload("colabenv-quickstart")
    prefix = steps.path_inside(machine, steps.environment_folder(machine, "quickstart"))
    yield Quickstart(machine, page, prefix, done, list(page.messages), before)
    page.shut_down()


def test_cell_shows_clean_output(quickstart: Quickstart) -> None:
    steps.assert_clean(quickstart.done)
    lines = steps.result_lines(quickstart.done)
    assert lines[0].startswith("✓ quickstart is ready: Python 3.11")
    assert "TensorFlow 2.15.1, Keras 2.15" in lines[0]
    assert f"TensorFlow from {quickstart.prefix}/lib/python3.11/site-packages/tensorflow" in lines[1]
    assert "/content/quickstart.cpu.lock.txt" in lines[2]
    assert "install" in lines[3]
    assert "prediction" in lines[4]
    assert "Runtime > Change runtime type" in lines[5]
    assert "colabenv-quickstart" in lines[6]
    assert "\r" in quickstart.done.text, "up has shown no progress"


def test_notebook_continues_in_the_new_kernel(quickstart: Quickstart) -> None:
    assert (quickstart.page.kernel_name, quickstart.messages) == ("colabenv-quickstart", [])
    assert quickstart.page.kernelspecs()["colabenv-quickstart"]["spec"]["language"] == "python"
    assert steps.run_and_read(quickstart.page, steps.WHERE) == quickstart.prefix
    assert steps.run_and_read(quickstart.page, steps.KERNEL_CLASS) == steps.COLAB_KERNEL


def test_tensorflow_predicts_in_the_environment(quickstart: Quickstart) -> None:
    shape, versions, file = steps.run_and_read(quickstart.page, PREDICT).splitlines()[-3:]
    assert shape == "(1, 1000)"
    assert versions == "2.15.1 2.15.0"
    assert file == f"{quickstart.prefix}/lib/python3.11/site-packages/tensorflow/__init__.py"


def test_secrets_come_from_the_page(quickstart: Quickstart) -> None:
    quickstart.page.secrets = {"KEY": "s3cret"}
    cell = "from google.colab import userdata\nprint(userdata.get('KEY'))"
    assert steps.run_and_read(quickstart.page, cell) == "s3cret"
    assert quickstart.page.requests[-1] == ("GetSecret", {"key": "KEY"})


def test_files_are_uploaded(quickstart: Quickstart) -> None:
    quickstart.page.uploads = {"upload.bin": bytes(range(256)) * 1000}
    cell = "from google.colab import files\nprint(sum(map(len, files.upload().values())))"
    assert steps.run_and_read(quickstart.page, cell).endswith("256000")
    written = quickstart.machine.content / "upload.bin"
    assert written.read_bytes() == quickstart.page.uploads["upload.bin"]


def test_drive_is_mounted(quickstart: Quickstart) -> None:
    if not quickstart.machine.namespaced:
        pytest.skip(f"the stand-in has a Drive only with namespaces: {quickstart.machine.refusal}")
    cell = "from google.colab import drive\ndrive.mount('/content/drive')\n!ls -m /content/drive | cat"
    message, *listed = steps.run_and_read(quickstart.page, cell).splitlines()
    # Another test of this machine may have mounted it.
    assert message in {"Mounted at /content/drive", "Drive already mounted at /content/drive."}
    assert listed == ["My Drive"]


@pytest.mark.parametrize("python", ["python", "python3"])
def test_shell_commands_use_the_environments_python(quickstart: Quickstart, python: str) -> None:
    cell = f"!{python} -c 'import sys, tensorflow; print(sys.prefix)' 2>/dev/null"
    assert steps.run_and_read(quickstart.page, cell) == quickstart.prefix


def test_pip_installs_into_the_environment(quickstart: Quickstart) -> None:
    site = f"{quickstart.prefix}/lib/python3.11/site-packages"
    for command in ("%pip --version", "!pip --version", "!pip3 --version", "!python -m pip --version"):
        output = steps.run_and_read(quickstart.page, command)
        assert f" from {site}/pip (python 3.11)" in output, command
    programs = steps.run_and_read(quickstart.page, "!which python python3 pip pip3 uv").splitlines()
    wrapped = [f"{quickstart.prefix}/colabenv/bin/{name}" for name in ("pip", "pip3", "uv")]
    assert programs == [*(f"{quickstart.prefix}/bin/{name}" for name in ("python", "python3")), *wrapped]


INSTALLERS = {
    "%pip install": "sortedcontainers==2.4.0",
    "!pip install": "toolz==0.12.1",
    "!uv pip install": "zipp==3.17.0",
    "!python -m pip install": "tabulate==0.9.0",
}


@pytest.mark.parametrize("command", list(INSTALLERS))
def test_installed_packages_are_in_the_environment(quickstart: Quickstart, command: str) -> None:
    requirement = INSTALLERS[command]
    module, _, version = requirement.partition("==")
    output = quickstart.page.run(f"{command} {requirement}", timeout=300).screen
    cell = f"import importlib.metadata, {module}\nprint({module}.__file__, importlib.metadata.version('{module}'))"
    file, installed = steps.run_and_read(quickstart.page, cell).split()
    assert file.startswith(f"{quickstart.prefix}/lib/python3.11/site-packages/"), output
    assert installed == version


def test_colabenv_runs_inside_the_environment(quickstart: Quickstart) -> None:
    table = steps.run_and_read(quickstart.page, "!python -m colabenv status").splitlines()
    (row,) = [line.split() for line in table if line.startswith("quickstart ")]
    assert row[1] == "ready"
    assert row[2].startswith("3.11.")
    assert "; colab, " in table[-1]


def test_packages_of_the_base_cannot_be_imported(quickstart: Quickstart) -> None:
    only_base = ("jupyter_server", "virtualenv", "pydantic", "filelock", "colab_kernel_launcher")
    for module in only_base:
        spec = steps.run_and_read(
            quickstart.page, f"import importlib.util\nprint(importlib.util.find_spec('{module}'))"
        )
        assert spec == "None"
        failed = quickstart.page.run(f"import {module}")
        assert failed.error is not None
        assert failed.error.ename == "ModuleNotFoundError"
    command = f"!python -c 'import {only_base[0]}'"
    assert f"ModuleNotFoundError: No module named '{only_base[0]}'" in quickstart.page.run(command).screen
    # Only google.colab is imported from the base.
    file = steps.run_and_read(quickstart.page, "import google.colab\nprint(google.colab.__file__)")
    assert file == f"{base.site_packages(quickstart.machine.prefix)}/google/colab/__init__.py"


def test_pythonpath_and_user_site_are_ignored(quickstart: Quickstart, notebook: Page) -> None:
    # Check the traps: the base imports one, and the interpreter that the environment links to imports both.
    assert steps.run_and_read(notebook, "import trap_of_pythonpath\nprint('seen')") == "seen"
    interpreter = steps.run_and_read(
        quickstart.page, "import os, sys\nprint(os.path.realpath(sys.executable))"
    )
    result = quickstart.machine.run(interpreter, "-c", "import trap_of_user_site, trap_of_pythonpath")
    assert (result.returncode, result.stderr) == (0, "")
    for trap in ("trap_of_pythonpath", "trap_of_user_site"):
        failed = quickstart.page.run(f"import {trap}")
        assert failed.error is not None, trap
        assert failed.error.ename == "ModuleNotFoundError"
        output = quickstart.page.run(f"!python -c 'import {trap}'").screen
        assert f"No module named '{trap}'" in output
    path = steps.run_and_read(quickstart.page, "import sys\nprint(*sys.path, sep='\\n')").splitlines()
    foreign = ("/env/python", str(quickstart.machine.prefix), f"{quickstart.machine.home_inside}/.local/lib")
    assert [entry for entry in path if entry.startswith(foreign)] == []


def test_child_processes_inherit_clean_variables(quickstart: Quickstart) -> None:
    lines = steps.run_and_read(quickstart.page, "!env").splitlines()
    variables = dict(line.partition("=")[::2] for line in lines)
    removed = {"PYTHONPATH", "UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT"}
    removed |= {"UV_INSTALL_DIR", "PYTHONWARNINGS", "LD_PRELOAD"}
    assert removed & set(variables) == set()
    assert removed - {"LD_PRELOAD"} <= set(quickstart.machine.env), "the base does not have these variables"
    assert [name for name in variables if name.startswith("COLABENV_")] == ["COLABENV_COMMANDS"]
    assert variables["VIRTUAL_ENV"] == quickstart.prefix
    assert variables["PATH"].split(":")[:2] == [
        f"{quickstart.prefix}/colabenv/bin",
        f"{quickstart.prefix}/bin",
    ]
    # ipykernel sets MPLBACKEND again for child processes. The module that it names is in the environment.
    assert variables["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"
    code = 'import importlib.util as u; print(u.find_spec("matplotlib_inline").origin)'
    assert steps.run_and_read(quickstart.page, f"!python -c '{code}'").startswith(f"{quickstart.prefix}/lib/")
    kept = ("LD_LIBRARY_PATH", "TF_FORCE_GPU_ALLOW_GROWTH", "COLAB_RELEASE_TAG", "PYTHONUTF8", "TERM")
    assert {name: variables.get(name) for name in kept} == {
        name: quickstart.machine.env[name] for name in kept
    }


def test_long_output_is_complete(quickstart: Quickstart) -> None:
    done = quickstart.page.run("for number in range(200_000): print(number)", timeout=200)
    assert done.stdout == "".join(f"{number}\n" for number in range(200_000))


def test_base_is_unchanged(quickstart: Quickstart) -> None:
    """Checks the effect of all tests of this file that have run before."""
    assert snapshot.differences(quickstart.before, quickstart.machine.snapshot()) == []
    added = sorted(path.name for path in quickstart.machine.content.glob("quickstart.*"))
    assert added == ["quickstart.cpu.lock.txt", "quickstart.ipynb"]
    assert Path(f"{quickstart.machine.prefix}/bin/python3").exists()
