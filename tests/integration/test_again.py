"""What fails and passes alone is named and forgiven; what fails again, and what fails in numbers, is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.patience import PATIENCE

AGAIN = Path(__file__).parents[2] / "scripts" / "lib" / "rerun_failed.py"
#: Each test notes that it ran. `unlike_before` fails in a folder's first run and passes afterwards.
SUITE = """
import pathlib
import pytest

def note(name):
    with open("ran.txt", "a") as file:
        file.write(name + "\\n")
    return pathlib.Path("ran.txt").read_text().split().count(name)

def unlike_before(name):
    assert note(name) > 1, "the disk of " + name + " stood still"

def test_always_passes():
    note("sound")
"""
UNSTEADY = """
@pytest.mark.parametrize("how", ["a/b.py::c d", "[x]"])
def test_unsteady(how):
    print("printed by", how)
    unlike_before("unsteady" + how[:1])
"""
UNSTEADY_FIXTURE = """
@pytest.fixture
def machine():
    unlike_before("machine")

def test_with_machine(machine):
    note("with_machine")
"""
BROKEN = """
def test_broken():
    note("broken")
    assert 1 == 2, "this one is the code's fault"
"""
MANY = """
@pytest.mark.parametrize("number", range(6))
def test_many(number):
    unlike_before(f"many{number}")
"""


def again(folder: Path, suite: str, *arguments: str) -> tuple[int, list[str], str]:
    """Run a suite: exit status, the lines that were shown, and what is kept for the end of CI's output."""
    (folder / "test_it.py").write_text(SUITE + suite)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    kept = folder / "unsteady.txt"
    done = subprocess.run(
        [sys.executable, AGAIN, kept, "--rootdir=.", "--color=no", *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout.splitlines(), kept.read_text() if kept.exists() else ""


def ran(folder: Path) -> list[str]:
    """The tests that ran, once for each time."""
    return sorted((folder / "ran.txt").read_text().split())


def test_tests_that_pass_alone_are_listed_and_succeed(tmp_path: Path) -> None:
    code, lines, kept = again(
        tmp_path, UNSTEADY + UNSTEADY_FIXTURE, "-n2", "--dist=loadscope", "--durations=1"
    )
    assert code == 0, "\n".join(lines)
    twice = ["machine", "unsteady[", "unsteadya"]
    assert ran(tmp_path) == sorted([*twice, *twice, "sound", "with_machine"])
    names = ["test_unsteady[[x]]", "test_unsteady[a/b.py::c d]", "test_with_machine"]
    assert lines[-4:-1] == [f"unsteady: test_it.py::{name}" for name in names]
    assert "make them steady" in lines[-1]
    # the whole of what failed at first stands below the second run's output, and is kept for the very end
    end = "\n".join(lines[lines.index("== First failures") :])
    for text in (end, kept):
        assert "AssertionError: the disk of unsteadya stood still" in text
        assert "printed by a/b.py::c d" in text
        assert "(setup)" in text
        assert "the disk of machine stood still" in text
    assert kept.endswith(lines[-1] + "\n")


def test_repeated_failure_fails(tmp_path: Path) -> None:
    code, lines, kept = again(tmp_path, BROKEN + UNSTEADY)
    assert code == 1
    assert ran(tmp_path).count("broken") == 2
    assert ran(tmp_path).count("sound") == 1
    assert lines[-1] == "failed again: test_it.py::test_broken"
    assert "unsteady: test_it.py::test_unsteady[[x]]" in lines
    assert "this one is the code's fault" in kept


def test_many_failures_are_not_repeated(tmp_path: Path) -> None:
    code, lines, kept = again(tmp_path, MANY)
    assert code == 1
    assert len(ran(tmp_path)) == 7
    assert lines[-6:] == [f"failed: test_it.py::test_many[{number}]" for number in range(6)]
    assert kept.count("stood still") >= 5


@pytest.mark.parametrize(("suite", "code"), [("", 0), ("\nimport nothing_of_this_name\n", 2)])
def test_no_repetition_without_failed_tests(tmp_path: Path, suite: str, code: int) -> None:
    assert again(tmp_path, suite)[::2] == (code, "")
