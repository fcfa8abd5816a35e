"""The command line: exit codes, errors as text and JSON, and arguments that nobody should give."""

from __future__ import annotations

import inspect
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
from colabenv.cli.parser import parse, words_for
from colabenv.cli.table import COMMANDS, Command
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
    error = kind("It broke.", hint="Fix it.")
    assert safely(raising(error)) == (code, "✗ It broke.\n  Fix it.\n")
    found, text = safely(raising(error), as_json=True)
    document = json.loads(text)
    assert (found, document["exit_code"], document["error"]) == (code, code, kind.__name__)


def test_interruption_has_exit_code_130() -> None:
    code, text = safely(raising(KeyboardInterrupt()))
    assert code == 130
    assert "Interrupted. No partial environment was left behind." in text
    code, text = safely(raising(KeyboardInterrupt()), as_json=True)
    assert (code, json.loads(text)["exit_code"]) == (130, 130)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(28, "No space left on device", "/x/y"),
            "Operating system error: No space left on device (/x/y).",
        ),
        (PermissionError(13, "Permission denied"), "Operating system error: Permission denied."),
        (OSError("odd"), "Operating system error: odd."),
    ],
)
def test_an_operating_system_error_is_a_message(error: OSError, message: str) -> None:
    code, text = safely(raising(error))
    assert code == 3
    assert message in text


def test_unexpected_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        safely(lambda: 1 // 0)


def test_exit_code_of_the_result() -> None:
    assert safely(lambda: 0) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["up"],
        ["up", "a", "b"],
        ["up", "p", "--variant", "tpu"],
        ["down"],
        ["check"],
        ["run"],
    ],
)
def test_usage_error_has_exit_code_2_and_shows_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().out
    assert "✗ " in shown
    assert "usage: colabenv" in shown
    assert main([*arguments, "--json"] if arguments[:1] != ["run"] else ["--json", *arguments]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "UsageError"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["chek", "p.yaml"], "Did you mean `colabenv check`?"),
        (["--json", "fly"], "`colabenv --help` lists the commands."),
    ],
)
def test_an_unknown_command_suggests_the_closest(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError, match="Unknown command") as caught:
        parse(words)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "words", [["--json", "-v", "status"], ["status", "--json", "-v"], ["--json", "status", "-v"]]
)
def test_common_options_before_or_after_the_command(words: list[str]) -> None:
    invocation = parse(words)
    assert (invocation.json, invocation.verbose, invocation.options) == (True, True, {})


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"colabenv {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["store", "-h"], *([*name.split(), "-h"] for name in COMMANDS)]
)
def test_every_command_has_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 0
    assert f"usage: colabenv {' '.join(arguments[:-1])}".rstrip() in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_and_its_function_have_the_same_arguments(command: Command) -> None:
    context, *parameters = inspect.signature(command.load()).parameters.values()
    assert context.name == "context"
    expected = [(parameter.name, parameter.kind is parameter.KEYWORD_ONLY) for parameter in parameters]
    arguments = [
        (argument.flags[-1].lstrip("-").replace("-", "_"), argument.flags[0].startswith("-"))
        for argument in command.arguments
    ]
    assert sorted(arguments) == sorted(expected)
    required = {parameter.name for parameter in parameters if parameter.default is parameter.empty}
    for argument in command.arguments:
        name = argument.flags[-1].lstrip("-").replace("-", "_")
        optional = argument.settings.get("nargs") == "?" or (
            argument.flags[0].startswith("-") and not argument.settings.get("required")
        )
        assert (name in required) is not optional


def test_keyword_arguments_become_a_command_line() -> None:
    words = words_for(
        "up", ["-p.yaml"], {"store": "gs://a/b", "push": True, "frozen": False, "variant": None}
    )
    assert words == ["up", "--store=gs://a/b", "--push", "--", "-p.yaml"]
    assert parse(words).options == {"store": "gs://a/b", "push": True, "profile": "-p.yaml"}


def test_up_imports_its_stages_when_it_needs_them() -> None:
    program = (
        "import sys\nfrom colabenv.cli.parser import parse\nparse(['up', 'p.yaml']).command.load()\n"
        "print([name for name in ('pydantic', 'yaml', 'rich', 'colabenv.commands.build') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


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
def test_unknown_name_is_an_error_and_changes_nothing(tmp_path: Path, verb: str) -> None:
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
    assert "There is no environment named nobody." in done.stderr
    assert outside.exists()
    assert not (tmp_path / "home" / "envs").exists()


@pytest.mark.parametrize("verb", ["check", "up"])
def test_missing_profile_is_an_error(tmp_path: Path, verb: str) -> None:
    profiles = ["none.yaml", "", ".", "none/none.yaml", "x" * 300]
    program = "import sys\nfrom colabenv.cli import main\n"
    program += f"for profile in {profiles!r}:\n    print('ended with', main([{verb!r}, profile]))\n"
    done = python(tmp_path, program)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["ended with 2"] * len(profiles)
    assert sum(line.startswith("✗ ") for line in done.stderr.splitlines()) == len(profiles)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()


def test_errors_and_progress_stay_out_of_a_pipe(tmp_path: Path) -> None:
    """`colabenv up missing.yaml 2>/dev/null` prints nothing."""
    done = colabenv(tmp_path, "up", "missing.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("✗ missing.yaml: ")


def test_an_error_as_json_is_one_document(tmp_path: Path) -> None:
    done = colabenv(tmp_path, "down", "nobody", "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert (document["error"], document["exit_code"]) == ("UsageError", 2)
    assert document["message"] == "There is no environment named nobody."


def test_status_without_environments_has_a_hint(tmp_path: Path) -> None:
    done = colabenv(tmp_path, "status")
    assert done.returncode == 0
    assert "No environments yet. Build one with: colabenv up PROFILE" in done.stdout
    assert str(tmp_path / "home") in done.stdout
    assert json.loads(colabenv(tmp_path, "status", "--json").stdout)["environments"] == []


def test_check_of_a_valid_profile(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        'name: demo\npython: "3.11"\nstack: {tensorflow: "2.15.1"}\npackages: [pandas]\n'
    )
    done = colabenv(tmp_path, "check", "p.yaml")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(
        "✓ p.yaml is a valid profile: demo, Python 3.11.\n  tensorflow==2.15.1\n  pandas\n"
    )
    assert json.loads(colabenv(tmp_path, "check", "p.yaml", "--json").stdout)["requirements"][1] == "pandas"


def test_check_of_impossible_frameworks_has_exit_code_4(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text('name: demo\npython: "3.12"\nstack: {tensorflow: "2.15.1"}\n')
    done = colabenv(tmp_path, "check", "p.yaml")
    assert done.returncode == 4
    assert "TensorFlow 2.15 has no wheels for Python 3.12." in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "demo"], "No command to run was given."),
        (["run", "--json", "demo", "--", "python"], "Unrecognized arguments: --json"),
        (["--json", "run", "demo", "--", "python"], "colabenv run does not accept --json."),
        (["run", "demo", "--json", "--", "python"], "colabenv run has no option --json."),
        (["run", "demo", "--", "python", "--json"], "There is no environment named demo."),
    ],
)
def test_run_needs_a_command_and_has_no_json(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLABENV_HOME", str(tmp_path))
    assert main(words) == 2
    assert message in capsys.readouterr().out


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
    child = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "working\n"
    child.send_signal(number)
    _, text = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert "Interrupted" in text
