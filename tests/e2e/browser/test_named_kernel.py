"""Selecting the kernel of an environment that was built in a terminal."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.browser.jupyter import Jupyter
from support.browser.tab import Tab

CELLS = (
    "import sys, tensorflow, keras\n"
    "print('TensorFlow', tensorflow.__version__, 'Keras', keras.__version__)\n"
    "print('Python at', sys.executable)",
    "int(tensorflow.reduce_sum(tensorflow.constant([20, 22])))",
)


@pytest.fixture(scope="package")
def quickstart(jupyter: Jupyter) -> str:
    """The display name of the kernel of an environment with TensorFlow."""
    jupyter.colabenv("up", "quickstart.yaml")
    spec = jupyter.server.call("GET", "kernelspecs")["kernelspecs"]["colabenv-quickstart"]["spec"]
    return str(spec["display_name"])


def test_kernel_can_be_selected_and_runs_cells(jupyter: Jupyter, quickstart: str, tab: Tab) -> None:
    tab.open("tensorflow.ipynb", CELLS)
    tab.pick_kernel(quickstart)
    tab.run_all()
    assert [tab.wait_for_end(number) for number in (0, 1)] == [1, 2]
    expect(tab.output(0)).to_contain_text("TensorFlow 2.15.1 Keras 2.15.0")
    expect(tab.output(0)).to_contain_text(f"Python at {jupyter.home}/.local/share/colabenv/envs/quickstart/")
    expect(tab.output(1)).to_contain_text("42")
