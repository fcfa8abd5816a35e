"""Actions and checks that several scenarios share."""

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
from support.timeouts import TIMEOUT

#: Stages of `up` that its live progress line names. None of these lines may remain at the end.
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
    """Write a profile to /content; returns the file name, NAME.yaml."""
    file = machine.content / f"{name}.yaml"
    file.write_text(f"name: {name}\n{text}")
    return file.name


def up(page: Page, arguments: str, timeout: float = 300) -> CellResult:
    """Run `up` in a cell, which must succeed; otherwise the assertion shows its output."""
    done = page.run(f"!python -m colabenv up {arguments}", timeout=timeout)
    code = page.run("_exit_code").result
    assert (done.status, code) == ("ok", "0"), f"exit {code}\n{done.screen}"
    return done


def run_and_read(page: Page, cell: str, timeout: float = TIMEOUT) -> str:
    """Run a cell, which must succeed; returns its output as shown, without surrounding whitespace."""
    done = page.run(cell, timeout=timeout)
    assert done.status == "ok", done.screen
    return done.screen.strip()


def environment_folder(machine: ColabMachine, name: str) -> Path:
    """The folder of the environment whose kernel has this name, as a path outside the machine."""
    data = machine.home / ".local/share"
    spec = json.loads((data / f"jupyter/kernels/colabenv-{name}/kernel.json").read_text())
    digest: str = spec["metadata"]["colabenv"]["digest"]
    return data / "colabenv/envs" / name / digest


def path_inside(machine: ColabMachine, path: Path) -> str:
    """Convert a path below the machine's home to the path path_inside the machine."""
    return f"{machine.home_inside}/{path.relative_to(machine.home)}"


def result_lines(done: CellResult) -> list[str]:
    """The last lines of the output, from the first line with a check mark, without trailing whitespace."""
    lines = [line.rstrip() for line in done.screen.rstrip().splitlines()]
    ticks = [number for number, line in enumerate(lines) if line.startswith("✓")]
    assert ticks, done.screen
    return lines[ticks[0] :]


def assert_clean(done: CellResult) -> None:
    r"""Check that a Colab cell can show the output: only colors and `\r`, and no rest of the progress line."""
    without_colors = re.sub(r"\x1b\[[0-9;]*m", "", done.text)
    controls = set(re.findall(r"[\x00-\x1f\x7f]", without_colors))
    assert controls <= {"\r", "\n"}, controls
    lines = [line.rstrip() for line in done.screen.rstrip().splitlines()]
    leftovers = [line for line in lines if not line or line.startswith(STAGES)]
    assert leftovers == [], done.screen
    assert len(result_lines(done)) <= 10, done.screen


@contextmanager
def base_unchanged(machine: ColabMachine) -> Iterator[None]:
    """Check that the block changes no file below the base's prefix."""
    before = machine.snapshot()
    yield
    assert snapshot.differences(before, machine.snapshot()) == []
