"""A warm kernel on the stand-in machine is used once, however the environment's kernel is started."""

from __future__ import annotations

import pytest

from support.colab import steps
from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.timeouts import wait_until

# These tests take half a minute, and tests/integration/warm covers the same code, so they are not in the default suite.
pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.wheels]

#: The parent of a warm kernel is its supervisor; that of a cold one is the server or the process that started it.
IS_WARM = "import os\nprint('--keep' in open('/proc/%d/cmdline' % os.getppid()).read().split('\\0'))"
UP = "!python -m colabenv up warm.yaml"


@pytest.fixture(scope="module")
def prefix(machine: ColabMachine) -> str:
    """The folder of an environment with warm kernels, of which the first one is ready."""
    text = 'python: "3.11"\npackages: [six==1.16.0]\nkernel: {preload: [six]}\n'
    page = machine.open("preload.ipynb")
    done = steps.up(page, steps.write_profile(machine, "warm", text))
    page.shut_down()
    steps.assert_clean(done)
    lines = steps.result_lines(done)
    assert "  warm    the next kernel starts with six imported" in lines
    return steps.path_inside(machine, steps.environment_folder(machine, "warm"))


def prepare_warm_kernel(page: Page) -> None:
    """Start a warm kernel with an `up` that has nothing else to do, and wait for it."""
    assert "✓ warm is ready: nothing has changed" in steps.run_and_read(page, UP)
    wait_until(
        lambda: (
            "warm: a warm kernel is ready (six; "
            in steps.run_and_read(page, "!python -m colabenv status warm")
        ),
        "a warm kernel is ready",
    )


def test_named_kernel_has_modules_preloaded(machine: ColabMachine, notebook: Page, prefix: str) -> None:
    prepare_warm_kernel(notebook)
    notebook.reload("colabenv-warm")
    assert steps.run_and_read(notebook, IS_WARM) == "True"
    assert steps.run_and_read(notebook, steps.WHERE) == prefix
    assert steps.run_and_read(notebook, steps.KERNEL_CLASS) == steps.COLAB_KERNEL
    notebook.secrets = {"KEY": "s3cret"}
    assert (
        steps.run_and_read(notebook, "from google.colab import userdata\nprint(userdata.get('KEY'))")
        == "s3cret"
    )
    notebook.typed.append("Ada")
    assert steps.run_and_read(notebook, "print('hello', input('name? '))").endswith("hello Ada")
    assert steps.run_and_read(notebook, "!python -c 'import sys, os; print(sys.prefix, os.getcwd())'") == (
        f"{prefix} {machine.content_inside}"
    )
    assert steps.run_and_read(
        notebook, "import os\nprint(os.getcwd(), os.environ['JPY_PARENT_PID'].isdecimal())"
    ) == (f"{machine.content_inside} True")
    # `up` inside the environment starts no warm kernel.
    assert "already runs in it" in steps.run_and_read(notebook, UP)
    assert "warm kernel" not in steps.run_and_read(notebook, "!python -m colabenv status warm")
    notebook.restart_kernel()
    assert steps.run_and_read(notebook, IS_WARM) == "False"
    assert steps.run_and_read(notebook, steps.WHERE) == prefix


def test_default_kernel_has_modules_preloaded(machine: ColabMachine, notebook: Page, prefix: str) -> None:
    prepare_warm_kernel(notebook)
    assert "✓ After Runtime > Restart session" in steps.run_and_read(notebook, f"{UP} --switch")
    notebook.restart_kernel()
    assert (notebook.kernel_name, steps.run_and_read(notebook, steps.WHERE)) == ("python3", prefix)
    assert steps.run_and_read(notebook, IS_WARM) == "True"
    assert steps.run_and_read(notebook, steps.KERNEL_CLASS) == steps.COLAB_KERNEL
    assert notebook.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)").status == "dead"
    notebook.reload()
    assert notebook.states[-1] == "restarting"
    assert (steps.run_and_read(notebook, IS_WARM), steps.run_and_read(notebook, steps.WHERE)) == (
        "False",
        prefix,
    )
    steps.run_and_read(notebook, "!python -m colabenv switch --base")
    notebook.restart_kernel()
    assert steps.run_and_read(notebook, steps.WHERE) == str(machine.prefix)


def test_attached_notebook_has_modules_preloaded(machine: ColabMachine, notebook: Page, prefix: str) -> None:
    prepare_warm_kernel(notebook)
    assert steps.run_and_read(notebook, "%load_ext colabenv") == ""
    steps.run_and_read(notebook, "%colabenv attach warm")
    assert (steps.run_and_read(notebook, IS_WARM), steps.run_and_read(notebook, steps.WHERE)) == (
        "True",
        prefix,
    )
    steps.run_and_read(notebook, "%colabenv restart")
    assert (steps.run_and_read(notebook, IS_WARM), steps.run_and_read(notebook, steps.WHERE)) == (
        "False",
        prefix,
    )
    steps.run_and_read(notebook, "%colabenv detach --stop")
    # One `%colabenv up` starts a warm kernel and uses it, after waiting for its imports.
    output = steps.run_and_read(notebook, "%colabenv up warm.yaml")
    assert "the next kernel starts with six imported" in output
    assert steps.run_and_read(notebook, IS_WARM) == "True"
