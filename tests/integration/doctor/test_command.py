"""The `doctor` command: its targets, prompts, output and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from support.doctor.recipe import BrokenEnvironment, Recipe
from support.pythons import interpreters
from support.timeouts import TIMEOUT

pytestmark = [pytest.mark.network, pytest.mark.slow]

BROKEN = Recipe(
    name="broken",
    code="CE101",
    statement="import httpx; httpx.Client()",
    install=("httpx==0.27.2",),
    then=("httpcore==0.9.1",),
)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, uv_cache: Path) -> Iterator[BrokenEnvironment]:
    """An environment that all tests of the file share; a test that fixes it breaks it again."""
    environment = BrokenEnvironment(BROKEN, tmp_path_factory.mktemp("command"), uv_cache)
    yield environment
    environment.remove()


def run(broken: BrokenEnvironment, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "colabenv", "doctor", *arguments],
        env={**broken.environ, **variables},
        cwd=broken.cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_text_of_a_finding(broken: BrokenEnvironment) -> None:
    completed = run(broken, "--python", str(broken.python), "--quick")

    assert completed.returncode == 1
    lines = completed.stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("1. "))
    assert lines[start] == "1. httpcore 0.9.1 is too old for httpx 0.27.2. [CE101]"
    assert lines[start + 1].strip().startswith("httpx 0.27.2 requires httpcore")
    assert lines[start + 2].strip().startswith("installed: httpcore 0.9.1, /")
    assert lines[start + 3].startswith("   Why:  ")
    assert lines[start + 4].startswith("   Fix:  ")
    assert lines[start + 4].endswith("'httpcore==1.*'")


def test_json_fields(broken: BrokenEnvironment) -> None:
    completed = run(broken, "--python", str(broken.python), "--quick", "--json")

    result = json.loads(completed.stdout)
    assert {
        "target",
        "python",
        "executable",
        "distributions",
        "findings",
        "commands",
        "seconds",
    } <= result.keys()
    (finding,) = result["findings"]
    assert finding.keys() >= {"code", "what", "evidence", "why", "commands"}
    assert result["commands"] == finding["commands"]


def test_fix_without_a_terminal_changes_nothing(broken: BrokenEnvironment) -> None:
    completed = run(broken, "--python", str(broken.python), "--quick", "--fix")

    assert completed.returncode == 2
    assert "[CE101]" in completed.stderr
    assert "Nothing was changed." in completed.stderr
    assert "--yes" in completed.stderr
    assert broken.try_statement().returncode != 0


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 0)])
def test_fix_asks_for_confirmation(broken: BrokenEnvironment, answer: str, code: int) -> None:
    arguments = ["-m", "colabenv", "doctor", "--python", str(broken.python), "--quick", "--fix"]
    child = pexpect.spawn(
        sys.executable,
        arguments,
        env=broken.environ,
        cwd=str(broken.cwd),
        encoding="utf-8",
        timeout=TIMEOUT,
        dimensions=(60, 200),
    )
    child.expect(r"1\. httpcore 0\.9\.1 is too old")
    child.expect(r"Continue\? \[y/N\]")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()

    assert child.exitstatus == code
    assert (broken.try_statement().returncode == 0) == (answer == "y")
    if answer == "y":
        broken.install_without_dependencies("httpcore==0.9.1")


def test_failed_fix_shows_its_output(broken: BrokenEnvironment) -> None:
    completed = run(
        broken,
        *("--python", str(broken.python), "--quick", "--fix", "--yes"),
        UV_OFFLINE="1",
        UV_CACHE_DIR=str(broken.cwd / "empty"),
    )

    assert completed.returncode == 3
    assert "This command failed: " in completed.stderr
    assert "httpcore" in completed.stderr
    assert "Run colabenv doctor again" in completed.stderr
    assert "Traceback" not in completed.stdout + completed.stderr


def test_environment_without_a_stamp_is_found_by_name(broken: BrokenEnvironment) -> None:
    envs = Path(broken.environ["COLABENV_HOME"]) / "envs" / "course"
    envs.mkdir(parents=True)
    (envs / "0123").symlink_to(broken.prefix)

    completed = run(broken, "course", "--quick")

    assert completed.returncode == 1
    assert "the environment course (Python" in completed.stdout
    assert "httpcore 0.9.1" in completed.stdout


def test_environment_of_the_kernel_is_examined(broken: BrokenEnvironment) -> None:
    inside = {"COLABENV_INSIDE": str(broken.prefix), "PATH": str(broken.prefix / "bin")}
    completed = run(broken, "--quick", "--json", **inside)

    result = json.loads(completed.stdout)
    assert result["executable"] == str(broken.python)
    assert [finding["code"] for finding in result["findings"]] == ["CE101"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch",), "There is no environment named nosuch."),
        (("--python", "/nosuch/python"), "/nosuch/python is not a program."),
        (("--python", "/"), "/ is not a program."),
        (("--traceback", "/nosuch.txt"), "Cannot read /nosuch.txt"),
        (("nosuch.ipynb",), "Cannot read nosuch.ipynb"),
        (("--traceback", os.devnull), f"{os.devnull} contains no exception"),
    ],
)
def test_invalid_arguments(broken: BrokenEnvironment, arguments: tuple[str, ...], message: str) -> None:
    completed = run(broken, *arguments)

    assert completed.returncode == 2
    assert message in completed.stderr
    assert '  File "' not in completed.stdout + completed.stderr


def test_program_that_is_not_python(broken: BrokenEnvironment) -> None:
    completed = run(broken, "--python", "/bin/true", "--quick")

    assert completed.returncode == 1
    assert "Traceback" not in completed.stdout + completed.stderr


def test_python_2_is_refused(broken: BrokenEnvironment) -> None:
    pythons = [path for path in interpreters().values() for path in path.parents[2].glob("2.7.*/bin/python")]
    if not pythons:
        pytest.skip("no CPython 2.7 on this machine")
    completed = run(broken, "--python", str(pythons[0]))

    assert completed.returncode == 2
    assert "is Python 2.7." in completed.stderr
