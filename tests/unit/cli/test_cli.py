"""The command line: exit codes, errors as text and JSON, and invalid arguments."""

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
from support.timeouts import TIMEOUT


def run_with_console(work: Callable[[], int], as_json: bool = False) -> tuple[int, str]:
    """Return the exit code and the output of `run_safely`."""
    out = io.StringIO()
    code = run_safely(work, Console(out, out, as_json=as_json, live=False))
    return code, out.getvalue()


def raising(error: BaseException) -> Callable[[], int]:
    """Return a function that raises the error."""

    def work() -> int:
        raise error

    return work


EXIT_CODES: dict[type[ColabenvError], int] = {
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


def test_each_error_has_its_exit_code() -> None:
    for error_class, expected in EXIT_CODES.items():
        error = error_class("It broke.", hint="Fix it.")
        assert run_with_console(raising(error)) == (expected, "✗ It broke.\n  Fix it.\n"), error_class
        exit_code, output = run_with_console(raising(error), as_json=True)
        document = json.loads(output)
        assert (exit_code, document["exit_code"]) == (expected, expected), error_class
        assert document["error"] == error_class.__name__


def test_interruption_has_exit_code_130() -> None:
    exit_code, output = run_with_console(raising(KeyboardInterrupt()))
    assert exit_code == 130
    assert "Interrupted. No partial environment was left behind." in output
    exit_code, output = run_with_console(raising(KeyboardInterrupt()), as_json=True)
    assert (exit_code, json.loads(output)["exit_code"]) == (130, 130)


def test_operating_system_error_is_a_message() -> None:
    for error, message in (
        (OSError(28, "No space left on device", "/x/y"), "No space left on device (/x/y)."),
        (PermissionError(13, "Permission denied"), "Permission denied."),
        (OSError("odd"), "odd."),
    ):
        exit_code, output = run_with_console(raising(error))
        assert exit_code == 3, error
        assert f"Operating system error: {message}" in output


def test_unexpected_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_with_console(lambda: 1 // 0)


def test_success_prints_nothing() -> None:
    assert run_with_console(lambda: 0) == (0, "")


def test_usage_error_has_exit_code_2_and_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [],
        ["lock"],
        ["up", "a", "b"],
        ["up", "p", "--variant", "tpu"],
        ["down"],
        ["check"],
        ["run"],
    ):
        assert main(arguments) == 2, arguments
        output = capsys.readouterr().out
        assert "✗ " in output, arguments
        assert "usage: colabenv" in output, arguments
        as_json = ["--json", *arguments] if arguments[:1] == ["run"] else [*arguments, "--json"]
        assert main(as_json) == 2, as_json
        assert json.loads(capsys.readouterr().out)["error"] == "UsageError", as_json


def test_unknown_command_suggests_the_closest() -> None:
    for arguments, hint in (
        (["chek", "p.yaml"], "Did you mean `colabenv check`?"),
        (["--json", "fly"], "`colabenv --help` lists the commands."),
    ):
        with pytest.raises(UsageError, match="Unknown command") as caught:
            parse(arguments)
        assert caught.value.hint.startswith(hint)


def test_common_options_are_accepted_before_and_after_the_command() -> None:
    for arguments in (["--json", "-v", "status"], ["status", "--json", "-v"], ["--json", "status", "-v"]):
        invocation = parse(arguments)
        assert (invocation.json, invocation.verbose, invocation.options) == (True, True, {}), arguments


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"colabenv {__version__}\n"


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["store", "-h"], *([*name.split(), "-h"] for name in COMMANDS)):
        with pytest.raises(SystemExit) as caught:
            parse(arguments)
        usage = f"usage: colabenv {' '.join(arguments[:-1])}".rstrip()
        assert (caught.value.code, usage in capsys.readouterr().out) == (0, True), arguments


def table_arguments(command: Command) -> set[tuple[str, bool, bool]]:
    """Name, whether it is an option, and whether it is required, of each argument in the table."""
    return {
        (
            argument.flags[-1].lstrip("-").replace("-", "_"),
            argument.flags[0].startswith("-"),
            argument.settings.get("nargs") != "?"
            and (not argument.flags[0].startswith("-") or bool(argument.settings.get("required"))),
        )
        for argument in command.arguments
    }


def test_commands_and_their_functions_have_the_same_arguments() -> None:
    for name, command in COMMANDS.items():
        context, *parameters = inspect.signature(command.load()).parameters.values()
        assert context.name == "context", name
        assert table_arguments(command) == {
            (parameter.name, parameter.kind is parameter.KEYWORD_ONLY, parameter.default is parameter.empty)
            for parameter in parameters
        }, f"the arguments of {name} in cli/table.py differ from those of {command.target}"
        assert len(command.arguments) == len(parameters), name


def test_keyword_arguments_become_a_command_line() -> None:
    arguments = words_for(
        "up", ["-p.yaml"], {"store": "gs://a/b", "push": True, "frozen": False, "variant": None}
    )
    assert arguments == ["up", "--store=gs://a/b", "--push", "--", "-p.yaml"]
    assert parse(arguments).options == {"store": "gs://a/b", "push": True, "profile": "-p.yaml"}


def test_up_imports_its_stages_when_it_needs_them() -> None:
    program = (
        "import sys\nfrom colabenv.cli.parser import parse\nparse(['up', 'p.yaml']).command.load()\n"
        "print([name for name in ('pydantic', 'yaml', 'rich', 'colabenv.commands.build') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def run_colabenv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `colabenv` in a folder, with its home below it."""
    return run_python(folder, "-m", "colabenv", *arguments)


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with colabenv's home below it."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "COLABENV_HOME": str(folder / "home"),
        "JUPYTER_DATA_DIR": str(folder / "jupyter"),
        "PYTHONUTF8": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIMEOUT,
    )


UNKNOWN_NAMES = [
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


# Runs each command line in sys.argv[1], a JSON document, and prints its arguments, exit code and errors as JSON.
RUN_COMMANDS = """
import contextlib, json, sys, tempfile
from colabenv.cli import main

results = []
for arguments in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile("w+") as errors:
        with contextlib.redirect_stderr(errors):
            exit_code = main(arguments)
        errors.seek(0)
        results.append([arguments, exit_code, errors.read()])
print(json.dumps(results))
"""


def run_commands(folder: Path, commands: list[list[str]]) -> list[tuple[list[str], int, str]]:
    """Run command lines in one process; return the arguments, exit code and errors of each."""
    result = run_python(folder, "-c", RUN_COMMANDS, json.dumps(commands))
    assert (result.returncode, result.stderr) == (0, "")
    return [(arguments, exit_code, errors) for arguments, exit_code, errors in json.loads(result.stdout)]


def test_unknown_name_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "x" / "kept"
    outside.mkdir(parents=True)
    verbs = ("status", "down", "verify", "switch")
    commands = [
        *([verb, "--", name] for verb in verbs for name in UNKNOWN_NAMES),
        *(["run", name, "--", "python"] for name in UNKNOWN_NAMES if not name.startswith("-")),
    ]
    for arguments, exit_code, errors in run_commands(tmp_path, commands):
        assert exit_code == 2, arguments
        assert "Traceback" not in errors, arguments
        if "nobody" in arguments:
            assert "There is no environment named nobody." in errors, arguments
    assert outside.exists()
    assert not (tmp_path / "home" / "envs").exists()


def test_missing_profile_is_an_error(tmp_path: Path) -> None:
    profiles = ["none.yaml", "", ".", "none/none.yaml", "x" * 300]
    commands = [[verb, profile] for verb in ("check", "up") for profile in profiles]
    for arguments, exit_code, errors in run_commands(tmp_path, commands):
        assert exit_code == 2, arguments
        assert sum(line.startswith("✗ ") for line in errors.splitlines()) == 1, arguments
        assert "Traceback" not in errors, arguments
    assert not (tmp_path / "home").exists()


def test_errors_are_not_written_to_stdout(tmp_path: Path) -> None:
    """`colabenv up missing.yaml 2>/dev/null` prints nothing."""
    result = run_colabenv(tmp_path, "up", "missing.yaml")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("✗ missing.yaml: ")


def test_error_as_json_is_one_document(tmp_path: Path) -> None:
    result = run_colabenv(tmp_path, "down", "nobody", "--json")
    assert result.returncode == 2
    document = json.loads(result.stdout)
    assert (document["error"], document["exit_code"]) == ("UsageError", 2)
    assert document["message"] == "There is no environment named nobody."


def test_status_without_environments_has_a_hint(tmp_path: Path) -> None:
    result = run_colabenv(tmp_path, "status")
    assert result.returncode == 0
    assert "No environments yet. Build one with: colabenv up PROFILE" in result.stdout
    assert str(tmp_path / "home") in result.stdout
    assert json.loads(run_colabenv(tmp_path, "status", "--json").stdout)["environments"] == []


def test_check_of_a_valid_profile(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        'name: demo\npython: "3.11"\nstack: {tensorflow: "2.15.1"}\npackages: [pandas]\n'
    )
    result = run_colabenv(tmp_path, "check", "p.yaml")
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith(
        "✓ p.yaml is a valid profile: demo, Python 3.11.\n  tensorflow==2.15.1\n  pandas\n"
    )
    document = json.loads(run_colabenv(tmp_path, "check", "p.yaml", "--json").stdout)
    assert document["requirements"][1] == "pandas"


def test_check_of_conflicting_versions_has_exit_code_4(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text('name: demo\npython: "3.12"\nstack: {tensorflow: "2.15.1"}\n')
    result = run_colabenv(tmp_path, "check", "p.yaml")
    assert result.returncode == 4
    assert "TensorFlow 2.15 has no wheels for Python 3.12." in result.stderr


def test_invalid_number_of_days_gives_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "gc", "--keep-days", "x", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["message"] == "Invalid value for --keep-days: x."
    assert error["hint"] == "Use a number of days, such as --keep-days 30."


def test_run_needs_a_command_and_rejects_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLABENV_HOME", str(tmp_path))
    for arguments, message in (
        (["run", "demo"], "No command was given."),
        (["run", "--json", "demo", "--", "python"], "Unrecognized arguments: --json"),
        (["--json", "run", "demo", "--", "python"], "colabenv run does not accept --json."),
        (["run", "demo", "--json", "--", "python"], "colabenv run has no option --json."),
        (["run", "demo", "--", "python", "--json"], "There is no environment named demo."),
    ):
        assert main(arguments) == 2, arguments
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
def test_signal_ends_the_command_with_exit_code_130(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert "Interrupted" in errors
