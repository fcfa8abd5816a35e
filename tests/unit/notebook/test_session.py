"""What a notebook is attached to outlives a restart of its own kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from colabenv.notebook.session import NotebookSession
from support.timeouts import TIMEOUT

# Runs the `.pth` file as the start of a kernel would, and prints the arguments of the kernel.
START = """
import json, sys
sys.orig_argv = ["python3", "-m", "ipykernel_launcher", "-f", sys.argv[2]]
line, sys.argv = open(sys.argv[1]).read(), ["-m", "-f", sys.argv[2]]
exec(line)
print(json.dumps(sys.argv[3:]))
"""


class Machine:
    """A folder with the connection files of kernels, states and the `.pth` file."""

    def __init__(self, folder: Path) -> None:
        self.states = folder / "attached"
        self.pth = folder / "site" / "colabenv-attached.pth"
        self._folder = folder

    def connection(self, name: str) -> Path:
        """The connection file of a kernel, which exists."""
        file = self._folder / f"{name}.json"
        file.touch()
        return file

    def session(self, name: str) -> NotebookSession:
        """The session of a kernel."""
        return NotebookSession(self.connection(name), self.states, self.pth)

    def start(self, name: str) -> list[str]:
        """Start a kernel; returns its additional arguments."""
        argv = [sys.executable, "-c", START, str(self.pth), str(self.connection(name))]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=TIMEOUT)
        arguments: list[str] = json.loads(done.stdout)
        return arguments


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_only_the_attached_notebook_attaches_again(machine: Machine) -> None:
    machine.session("kernel-1").remember("colabenv-lesson")
    assert machine.start("kernel-2") == []
    (argument,) = machine.start("kernel-1")
    assert argument.startswith("--InteractiveShellApp.code_to_run=")
    assert argument.endswith(".resume('colabenv-lesson')")


def test_start_that_failed_is_not_repeated(machine: Machine) -> None:
    session = machine.session("kernel-1")
    session.remember("colabenv-lesson")
    assert machine.start("kernel-1") != []
    assert machine.start("kernel-1") == []  # nothing has remembered it again
    session.remember("colabenv-lesson")
    assert machine.start("kernel-1") != []


def test_detached_notebook_starts_in_the_base(machine: Machine) -> None:
    first, second = machine.session("kernel-1"), machine.session("kernel-2")
    first.remember("colabenv-lesson")
    second.remember("colabenv-lesson")
    second.forget()
    assert machine.start("kernel-2") == []
    assert machine.pth.exists()
    first.forget()
    assert not machine.pth.exists()
    assert not list(machine.states.glob("*.json*"))


def test_states_of_ended_kernels_are_removed(machine: Machine) -> None:
    for name in ("kernel-1", "kernel-2"):
        machine.session(name).remember("colabenv-lesson")
    machine.connection("kernel-1").unlink()
    (machine.states / "damaged.json").write_text("{")
    machine.session("kernel-3").remember("colabenv-lesson")
    assert sorted(path.name for path in machine.states.glob("*.json")) == ["kernel-2.json", "kernel-3.json"]


def test_damaged_state_is_ignored(machine: Machine) -> None:
    machine.session("kernel-1").remember("colabenv-lesson")
    (machine.states / "kernel-1.json").write_text("[]")
    assert machine.start("kernel-1") == []


def test_pth_file_outlives_its_hook(machine: Machine) -> None:
    machine.session("kernel-1").remember("colabenv-lesson")
    (machine.states / "hook.py").unlink()
    assert machine.start("kernel-1") == []


def test_attaching_works_where_nothing_can_be_written(machine: Machine) -> None:
    machine.states.write_text("a file in the place of the folder")
    session = machine.session("kernel-1")
    session.remember("colabenv-lesson")
    session.forget()
