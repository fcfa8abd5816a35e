"""scripts/lib/rerun_failed.py: tests that pass when run again do not fail the run, unless too many failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.timeouts import TIMEOUT

SCRIPT = Path(__file__).parents[2] / "scripts" / "lib" / "rerun_failed.py"
#: Each test records that it ran. `fail_first_run` fails in a folder's first run and passes afterwards.
SUITE = """
import pathlib
import pytest

def record(name):
    with open("ran.txt", "a") as file:
        file.write(name + "\\n")
    return pathlib.Path("ran.txt").read_text().split().count(name)

def fail_first_run(name):
    assert record(name) > 1, "first run of " + name

def test_always_passes():
    record("stable")
"""
UNSTEADY = """
@pytest.mark.parametrize("how", ["a/b.py::c d", "[x]"])
def test_unsteady(how):
    print("printed by", how)
    fail_first_run("unsteady" + how[:1])
"""
UNSTEADY_FIXTURE = """
@pytest.fixture
def machine():
    fail_first_run("machine")

def test_with_machine(machine):
    record("with_machine")
"""
BROKEN = """
def test_broken():
    record("broken")
    assert 1 == 2, "a real bug"
"""
MANY = """
@pytest.mark.parametrize("number", range(6))
def test_many(number):
    fail_first_run(f"many{number}")
"""


def run_script(folder: Path, suite: str, *arguments: str) -> tuple[int, list[str], str]:
    """Run a suite; return the exit status, the lines of the output, and the text of the report."""
    (folder / "test_it.py").write_text(SUITE + suite)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    report = folder / "unsteady.txt"
    completed = subprocess.run(
        [sys.executable, SCRIPT, report, "--rootdir=.", "--color=no", *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    return completed.returncode, completed.stdout.splitlines(), report.read_text() if report.exists() else ""


def recorded_tests(folder: Path) -> list[str]:
    """Names of the tests that ran, once per run."""
    return sorted((folder / "ran.txt").read_text().split())


def test_tests_that_pass_alone_are_listed_and_the_run_passes(tmp_path: Path) -> None:
    code, lines, report = run_script(
        tmp_path, UNSTEADY + UNSTEADY_FIXTURE, "-n2", "--dist=loadscope", "--durations=1"
    )
    assert code == 0, "\n".join(lines)
    twice = ["machine", "unsteady[", "unsteadya"]
    assert recorded_tests(tmp_path) == sorted([*twice, *twice, "stable", "with_machine"])
    names = ["test_unsteady[[x]]", "test_unsteady[a/b.py::c d]", "test_with_machine"]
    assert lines[-4:-1] == [f"unsteady: test_it.py::{name}" for name in names]
    assert "make them steady" in lines[-1]
    # The first failures are shown below the second run's output, and are in the report.
    end = "\n".join(lines[lines.index("== First failures") :])
    for text in (end, report):
        assert "AssertionError: first run of unsteadya" in text
        assert "printed by a/b.py::c d" in text
        assert "(setup)" in text
        assert "first run of machine" in text
    assert report.endswith(lines[-1] + "\n")


def test_second_failure_fails_the_run(tmp_path: Path) -> None:
    code, lines, report = run_script(tmp_path, BROKEN + UNSTEADY)
    assert code == 1
    assert recorded_tests(tmp_path).count("broken") == 2
    assert recorded_tests(tmp_path).count("stable") == 1
    assert lines[-1] == "failed again: test_it.py::test_broken"
    assert "unsteady: test_it.py::test_unsteady[[x]]" in lines
    assert "a real bug" in report


def test_many_failures_are_not_rerun(tmp_path: Path) -> None:
    code, lines, report = run_script(tmp_path, MANY)
    assert code == 1
    assert len(recorded_tests(tmp_path)) == 7
    assert lines[-6:] == [f"failed: test_it.py::test_many[{number}]" for number in range(6)]
    assert report.count("first run of") >= 5


@pytest.mark.parametrize(("suite", "code"), [("", 0), ("\nimport nothing_of_this_name\n", 2)])
def test_nothing_is_rerun_without_failed_tests(tmp_path: Path, suite: str, code: int) -> None:
    assert run_script(tmp_path, suite)[::2] == (code, "")
