"""What several scenarios do and look at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.colab import snapshot
from support.colab.cell import CellResult
from support.colab.machine import ColabMachine
from support.colab.page import Page
from support.patience import PATIENCE

#: The stages of `up`, whose live line must leave nothing behind.
STAGES = (
    "Choosing versions",
    "Creating the environment",
    "Installing",
    "Checking the kernel",
    "Downloading Python",
)
WHERE = "import sys\nprint(sys.prefix)"
KERNEL_CLASS = "kind = type(get_ipython().kernel)\nprint(kind.__module__ + '.' + kind.__qualname__)"
COLAB_KERNEL = "google.colab._kernel.Kernel"
PLAIN_KERNEL = "ipykernel.ipkernel.IPythonKernel"


def write_profile(machine: ColabMachine, name: str, text: str) -> str:
    """Write a profile into /content; returns the file's name, which is also the profile's, with `.yaml`."""
    file = machine.content / f"{name}.yaml"
    file.write_text(f"name: {name}\n{text}")
    return file.name


def up(page: Page, arguments: str, timeout: float = 300) -> CellResult:
    """Run `up` in a cell as people do; fails with what they saw where it did not succeed."""
    done = page.run(f"!python -m colabenv up {arguments}", timeout=timeout)
    code = page.run("_exit_code").result
    assert (done.status, code) == ("ok", "0"), f"exit {code}\n{done.screen}"
    return done


def run_and_read(page: Page, cell: str, timeout: float = PATIENCE) -> str:
    """What a person sees of a cell that succeeds, without the blank around it."""
    done = page.run(cell, timeout=timeout)
    assert done.status == "ok", done.screen
    return done.screen.strip()


def environment_of(machine: ColabMachine, name: str) -> Path:
    """The folder of the environment whose kernel is registered under a name, as a path outside."""
    data = machine.home / ".local/share"
    spec = json.loads((data / f"jupyter/kernels/colabenv-{name}/kernel.json").read_text())
    digest: str = spec["metadata"]["colabenv"]["digest"]
    return data / "colabenv/envs" / name / digest


def inside(machine: ColabMachine, path: Path) -> str:
    """A path below the machine's home as its programs see it."""
    return f"{machine.home_inside}/{path.relative_to(machine.home)}"


def result_lines(done: CellResult) -> list[str]:
    """The last lines of the output, from the tick on, blanks at their ends taken off."""
    lines = [line.rstrip() for line in done.screen.rstrip().splitlines()]
    ticks = [number for number, line in enumerate(lines) if line.startswith("✓")]
    assert ticks, done.screen
    return lines[ticks[0] :]


def assert_clean(done: CellResult) -> None:
    r"""The output is what a Colab cell can show: colours, `\r`, and no trace of the live line at the end."""
    colours_gone = re.sub(r"\x1b\[[0-9;]*m", "", done.text)
    controls = set(re.findall(r"[\x00-\x1f\x7f]", colours_gone))
    assert controls <= {"\r", "\n"}, controls
    lines = [line.rstrip() for line in done.screen.rstrip().splitlines()]
    left = [line for line in lines if not line or line.startswith(STAGES)]
    assert left == [], done.screen
    assert len(result_lines(done)) <= 10, done.screen


@contextmanager
def base_unchanged(machine: ColabMachine) -> Iterator[None]:
    """Every file below the base's prefix is at the end as it was at the beginning."""
    before = machine.snapshot()
    yield
    assert snapshot.differences(before, machine.snapshot()) == []
