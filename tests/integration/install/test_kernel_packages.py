"""The packages that colabenv adds for the kernel fit the profile's, and the check notices if they do not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from support.index_server import Index
from support.packages import wheel
from support.pythons import interpreters
from support.user_machine import UserMachine

# A stand-in for matplotlib whose plots cannot be shown.
MATPLOTLIB = {
    "matplotlib/__init__.py": "get_backend = lambda: 'inline'\n",
    "matplotlib/pyplot.py": "figure = plot = lambda *args, **kwargs: None\nshow = lambda: int('no canvas')\n",
}
#: By Python: the oldest matplotlib with wheels for it that colabenv was tried with, and what else it needs.
OLDEST = {
    "3.7": ("matplotlib==3.0.3", "numpy<1.19"),
    "3.8": ("matplotlib==3.1.3", "numpy<1.24"),
    "3.9": ("matplotlib==3.3.4", "numpy<1.20"),
    "3.10": ("matplotlib==3.5.3", "numpy<1.24"),
    "3.11": ("matplotlib==3.6.3", "numpy<2"),
    "3.12": ("matplotlib==3.8.4", "numpy<2"),
    "3.13": ("matplotlib==3.9.4",),
}


def test_plots_that_fail_fail_the_check(machine: UserMachine, index: Index) -> None:
    index.add(*wheel("matplotlib", "3.6.3", files=MATPLOTLIB))
    machine.profile.write_text("name: tiny\nkernel: {google_colab: off}\npackages: [matplotlib]\n")
    output = machine.up().expect(5).text
    assert "plots do not work in its kernel: ValueError: invalid literal" in output
    assert "These versions may not work together: matplotlib 3.6.3, matplotlib-inline 0.1" in output
    assert "colabenv lock PROFILE --upgrade matplotlib matplotlib-inline" in output
    assert machine.kernels() == []


@pytest.fixture
def online(machine: UserMachine, uv_cache: Path) -> UserMachine:
    """The machine with the package index that this machine is configured for, and its Pythons."""
    for name in [name for name in machine.environ if name.startswith(("UV_", "PIP_"))]:
        del machine.environ[name]
    machine.environ |= {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_"))}
    machine.environ["UV_CACHE_DIR"] = str(uv_cache)
    folders = [str(path.parent) for path in interpreters().values()]
    machine.environ["PATH"] = os.pathsep.join([*folders, machine.environ["PATH"]])
    return machine


def write_profile(machine: UserMachine, python: str, *packages: str, google_colab: str = "auto") -> None:
    machine.profile.write_text(
        json.dumps(
            {
                "name": "tiny",
                "python": python,
                "kernel": {"google_colab": google_colab},
                "packages": packages,
            }
        )
    )


@pytest.mark.wheels
@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("google_colab", ["auto", "off"])
@pytest.mark.parametrize("python", OLDEST)
def test_oldest_and_newest_matplotlib_plot_in_the_kernel(
    online: UserMachine, python: str, google_colab: str
) -> None:
    if python not in interpreters():
        pytest.skip(f"no CPython {python} on this machine")
    for packages in (OLDEST[python], ("matplotlib",)):
        write_profile(online, python, *packages, "ipywidgets", google_colab=google_colab)
        output = online.up("--json").expect(0).text
        up = json.loads(output[output.index("\n{") + 1 :])
        assert {"input()", "a widget", "a plot"} <= set(up["proof_seconds"]), packages
        online.lock.unlink()


@pytest.mark.wheels
@pytest.mark.network
@pytest.mark.slow
def test_matplotlib_inline_that_is_too_new_fails_the_check(online: UserMachine) -> None:
    write_profile(online, "3.11", *OLDEST["3.11"], "matplotlib-inline==0.2.2")
    output = online.up().expect(5).text
    assert (
        "plots do not work in its kernel: AttributeError: 'RcParams' object has no attribute '_get'" in output
    )
    assert "matplotlib-inline 0.2.2 needs matplotlib 3.7 or newer for plots, and the lock has 3.6.3" in output
    assert online.kernels() == []
