"""The command line: exit codes, errors as text and JSON, and arguments that nobody should give."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from colabenv import __version__
from colabenv.cli import main, run_safely
from colabenv.cli.parser import parser
from colabenv.errors import (
    CheckError,
    ColabenvError,
    CorruptError,
    DiskError,
    InstallError,
    InterpreterError,
    LockError,
    MachineError,
    NetworkError,
    ProfileError,
    UnsatisfiableError,
    UsageError,
)
from colabenv.output.console import Console
from support.patience import PATIENCE


def safely(work: Callable[[], int], as_json: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    code = run_safely(work, Console(out, out, as_json=as_json, live=False))
    return code, out.getvalue()


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


CODES: dict[type[ColabenvError], int] = {
    ColabenvError: 3,
    UsageError: 2,
    ProfileError: 2,
    LockError: 2,
    MachineError: 3,
    DiskError: 3,
    InterpreterError: 3,
    NetworkError: 3,
    CorruptError: 3,
    InstallError: 3,
    UnsatisfiableError: 4,
    CheckError: 5,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_each_error_has_its_exit_code(kind: type[ColabenvError], code: int) -> None:
    error = kind("It broke.", hint="Mend it.")
    assert safely(raising(error)) == (code, "✗ It broke.\n  Mend it.\n")
    found, text = safely(raising(error), as_json=True)
    document = json.loads(text)
    assert (found, document["exit_code"], document["error"]) == (code, code, kind.__name__)


def test_an_interruption_is_130_in_both_forms() -> None:
    code, text = safely(raising(KeyboardInterrupt()))
    assert code == 130
    assert "Interrupted; nothing half-made is in use." in text
    code, text = safely(raising(KeyboardInterrupt()), as_json=True)
    assert (code, json.loads(text)["exit_code"]) == (130, 130)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(28, "No space left on device", "/x/y"),
            "The machine refused: No space left on device (/x/y).",
        ),
        (PermissionError(13, "Permission denied"), "The machine refused: Permission denied."),
        (OSError("odd"), "The machine refused: odd."),
    ],
)
def test_what_the_system_refuses_is_a_message(error: OSError, message: str) -> None:
    code, text = safely(raising(error))
    assert code == 3
    assert message in text


def test_a_fault_of_our_own_stays_a_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        safely(lambda: 1 // 0)


def test_what_worked_passes_its_code_on() -> None:
    assert safely(lambda: 0) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["up"],
        ["up", "a", "b"],
        ["up", "p", "--variant", "tpu"],
        ["down"],
        ["check"],
        ["run"],
    ],
)
def test_a_wrong_line_ends_with_two_and_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().out
    assert "✗" in shown
    assert "usage: colabenv" in shown
    assert main([*arguments, "--json"] if arguments[:1] != ["run"] else ["--json", *arguments]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "UsageError"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"colabenv {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["run", "-h"]])
def test_help_is_there(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(arguments)
    assert caught.value.code == 0
    assert "usage: colabenv" in capsys.readouterr().out


def environ(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "COLABENV_HOME": str(folder / "home"),
        "JUPYTER_DATA_DIR": str(folder / "jupyter"),
        "PYTHONUTF8": "1",
    }


def colabenv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command, in a process and a folder of its own."""
    return started(folder, "-m", "colabenv", *arguments)


def python(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Many commands in one process, which takes a third of a second to start."""
    return started(folder, "-c", program)


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environ(folder),
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=PATIENCE,
    )


BAD_NAMES = [
    "nobody",
    "",
    ".",
    "..",
    "../../x",
    "a/b",
    "/etc",
    ".hidden",
    "-",
    "ünïcode",
    "x" * 300,
    "a\nb",
    "a b",
]


@pytest.mark.parametrize("verb", ["status", "down", "verify", "run", "switch"])
def test_an_unknown_name_is_told_and_nothing_is_touched(tmp_path: Path, verb: str) -> None:
    outside = tmp_path / "x" / "kept"
    outside.mkdir(parents=True)
    program = (
        "import sys\nfrom colabenv.cli import main\n"
        f"print([main([{verb!r}, '--', name] if {verb!r} != 'run' else ['run', name, '--', 'python'])"
        f" for name in {BAD_NAMES!r} if {verb!r} != 'run' or not name.startswith('-')])\n"
    )
    done = python(tmp_path, program)
    assert "Traceback" not in done.stderr, done.stderr
    codes = json.loads(done.stdout.splitlines()[-1])
    assert codes == [2] * len(codes)
    assert "There is no environment named nobody." in done.stdout
    assert outside.exists()
    assert not (tmp_path / "home" / "envs").exists()


@pytest.mark.parametrize("verb", ["check", "up"])
def test_a_profile_that_is_not_there_is_told(tmp_path: Path, verb: str) -> None:
    profiles = ["none.yaml", "", ".", "none/none.yaml", "x" * 300]
    program = "import sys\nfrom colabenv.cli import main\n"
    program += f"for profile in {profiles!r}:\n    print('ended with', main([{verb!r}, profile]))\n"
    done = python(tmp_path, program)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("ended")] == ["ended with 2"] * len(profiles)
    assert sum(line.startswith("✗ ") for line in lines) == len(profiles)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()


def test_an_error_as_json_is_one_document(tmp_path: Path) -> None:
    done = colabenv(tmp_path, "down", "nobody", "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert (document["error"], document["exit_code"]) == ("UsageError", 2)
    assert document["message"] == "There is no environment named nobody."


def test_status_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    done = colabenv(tmp_path, "status")
    assert done.returncode == 0
    assert "No environments yet. Build one with: colabenv up PROFILE" in done.stdout
    assert str(tmp_path / "home") in done.stdout
    assert json.loads(colabenv(tmp_path, "status", "--json").stdout)["environments"] == []


def test_check_of_a_good_profile(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        'name: demo\npython: "3.11"\nstack: {tensorflow: "2.15.1"}\npackages: [pandas]\n'
    )
    done = colabenv(tmp_path, "check", "p.yaml")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(
        "✓ p.yaml is a valid profile: demo, Python 3.11.\n  tensorflow==2.15.1\n  pandas\n"
    )
    assert json.loads(colabenv(tmp_path, "check", "p.yaml", "--json").stdout)["requirements"][1] == "pandas"


def test_check_of_a_stack_that_cannot_be_is_four(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text('name: demo\npython: "3.12"\nstack: {tensorflow: "2.15.1"}\n')
    done = colabenv(tmp_path, "check", "p.yaml")
    assert done.returncode == 4
    assert "TensorFlow 2.15 has no wheels for Python 3.12." in done.stdout


def test_run_needs_a_command_and_shows_no_json(tmp_path: Path) -> None:
    assert colabenv(tmp_path, "run", "demo").returncode == 2
    done = colabenv(tmp_path, "run", "--json", "demo", "--", "python")
    assert done.returncode == 2
    assert "--json has nothing to add" in json.loads(done.stdout)["message"]


WAITING = """
import os, sys, time
from colabenv import cli
from colabenv.output.console import Console

def work():
    print("working", flush=True)
    time.sleep(600)
    return 0

import signal
signal.signal(signal.SIGTERM, cli._interrupt)
sys.exit(cli.run_safely(work, Console()))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_with_130(number: signal.Signals) -> None:
    child = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "working\n"
    child.send_signal(number)
    text, _ = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert "Interrupted" in text
