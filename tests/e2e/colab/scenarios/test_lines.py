"""Lines that notebooks have for Colab's own Python, in an attached notebook on the stand-in machine."""

from __future__ import annotations

import pytest

from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.colab.steps import WHERE, environment_folder, path_inside, run_and_read

pytestmark = pytest.mark.network

SUBPROCESS = "import sys\nfrom subprocess import check_output\n"


def test_lines_of_a_notebook(machine: ColabMachine, notebook: Page, small: str) -> None:
    prefix = path_inside(machine, environment_folder(machine, small))
    run_and_read(notebook, "%load_ext colabenv")
    run_and_read(notebook, f"%colabenv attach {small}")
    has_six = f"colabenv: environment '{small}' already has six 1.16.0, so there is nothing to install."
    refuses_six = f"colabenv: six==1.15.0 is not installed: environment '{small}' has six 1.16.0."
    answers = {
        "!pip install -q 'six>=1.10' -U": has_six,
        "%pip install 'six==1.16'": has_six,
        "!python3 -m pip install --user six": has_six,
        "!uv pip install --system six": has_six,
        "!pip3 install six==1.15.0": refuses_six,
        f"{SUBPROCESS}print(check_output([sys.executable, '-m', 'pip', 'install', 'six==1.15.0']))": refuses_six,
        "!pip uninstall -y six": "colabenv: six 1.16.0 stays",
        "%tensorflow_version 1.x": "colabenv: this environment has no TensorFlow.",
        "!conda install -y six": "colabenv: `conda` has no effect here",
        "%conda install six": "colabenv: `conda` has no effect here",
        "!pip install -q condacolab\nimport condacolab\ncondacolab.install()": "colabenv: condacolab is not installed",
        "!update-alternatives --install /usr/bin/python3 python3 /usr/bin/python3.7 1": (
            "colabenv: `update-alternatives` would change the Python of the machine"
        ),
    }
    for line, answer in answers.items():
        assert answer in run_and_read(notebook, line), line

    # What the lock does not have is installed into the environment.
    failed = run_and_read(
        notebook, "!pip install -q 'mock<3' 'urllib3-mock<1' 'six>=1.17'; pip install tinynetrc"
    )
    assert "colabenv: six>=1.17 is not installed" in failed
    assert "Successfully installed tinynetrc" in failed
    found = run_and_read(notebook, "import six, tinynetrc\nprint(six.__version__, tinynetrc.__file__)")
    assert found.startswith(f"1.16.0 {prefix}/lib/")
    assert run_and_read(notebook, "!pip uninstall -y -q tinynetrc; pip list 2>&1 | grep -c tinynetrc") == "0"


def test_kernel_that_a_notebook_ends_comes_back(machine: ColabMachine, notebook: Page, small: str) -> None:
    prefix = path_inside(machine, environment_folder(machine, small))
    run_and_read(notebook, "%load_ext colabenv")
    run_and_read(notebook, f"%colabenv attach {small}")
    ends = (
        "import os; os.kill(os.getpid(), 9)",
        "exit()",
        "get_ipython().kernel.do_shutdown(True)",
        "import IPython; app = IPython.Application.instance(); app.kernel.do_shutdown(True)",
    )
    for end in ends:
        run_and_read(notebook, "before = 1")
        done = notebook.run(end)
        assert done.status == "ok", done.screen
        shown = run_and_read(notebook, "import sys\nprint(sys.prefix, 'before' in globals())")
        assert shown.endswith(f"{prefix} False"), end
    assert run_and_read(notebook, WHERE) == prefix


def test_restarted_session_comes_back_attached(machine: ColabMachine, notebook: Page, small: str) -> None:
    prefix = path_inside(machine, environment_folder(machine, small))
    base = run_and_read(notebook, WHERE)
    run_and_read(notebook, "%load_ext colabenv")
    run_and_read(notebook, f"%colabenv attach {small}")
    notebook.restart_kernel()
    shown = run_and_read(notebook, WHERE)
    assert shown.startswith("colabenv: the session was restarted, and its variables are lost.")
    assert shown.endswith(prefix)
    assert run_and_read(notebook, WHERE) == prefix

    # The server starts a kernel that was killed again.
    assert notebook.run("%%base\nimport os; os.kill(os.getpid(), 9)").status == "dead"
    notebook.reload()
    assert run_and_read(notebook, "%%base\n" + WHERE) == base
    assert run_and_read(notebook, WHERE).endswith(prefix)

    # An environment that is gone must not keep the notebook from running.
    (state,) = (machine.home / ".local/share/colabenv/attached").glob("kernel-*.json")
    state.write_text(state.read_text().replace(f"colabenv-{small}", "colabenv-removed"))
    notebook.restart_kernel()
    shown = run_and_read(notebook, WHERE)
    assert "environment 'removed' could not be attached again" in shown
    assert shown.endswith(base)

    run_and_read(notebook, f"%colabenv attach {small}")
    run_and_read(notebook, "%colabenv detach")
    notebook.restart_kernel()
    assert run_and_read(notebook, WHERE) == base
