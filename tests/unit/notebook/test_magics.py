"""What is typed after `%colabenv`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from colabenv.cli.parser import Invocation
from colabenv.errors import ColabenvError, MachineError, UsageError
from colabenv.notebook.attach import Attachment
from colabenv.notebook.magics import Commands, load_ipython_extension, register
from colabenv.output.console import Console
from colabenv.output.results import Result
from colabenv.output.up import DryRunResult, UpResult

UP = UpResult(
    name="demo",
    action="built",
    kernel_name="colabenv-demo",
    display_name="demo (Python 3.10)",
    environment="/e",
    python="3.10.1",
    interpreter="/usr/bin/python3.10",
    variant="cpu",
    lock="/lock.txt",
    kernelspec="/kernel.json",
    host="colab",
    kernel="colab",
    packages=1,
)
DRY_RUN = DryRunResult("x", "x", "3.10.1", "Python 3.10.1", "plain", "/lock.txt", "new", {})


class Notebook(Attachment):
    """A notebook that only notes what it is asked to do."""

    def __init__(self) -> None:
        self.attached: list[str] = []

    def attach(self, name: str) -> Any:
        self.attached.append(name)
        info = {"language_info": {"name": "python", "version": "3.10.1"}}
        return SimpleNamespace(name="demo", info=info, pid=7, alive=True)


class CommandsUnderTest:
    """The commands of a notebook, with a shell that only notes what it is asked to run."""

    def __init__(self, result: Result | ColabenvError = UP) -> None:
        self.ran: list[Invocation] = []
        self.printed: list[str] = []
        self.notebook = Notebook()
        self._result = result
        self.commands = Commands(self.notebook, run=self._run, say=self.printed.append)

    def _run(self, invocation: Invocation, _console: Console) -> Result:
        self.ran.append(invocation)
        if isinstance(self._result, ColabenvError):
            raise self._result
        return self._result


def test_up_builds_and_attaches(capsys: pytest.CaptureFixture[str]) -> None:
    desk = CommandsUnderTest()
    desk.commands.run("up 'my profile.yaml' --variant cpu --store=gs://a/b --push -v")
    (invocation,) = desk.ran
    assert invocation.options == {
        "profile": "my profile.yaml",
        "variant": "cpu",
        "store": "gs://a/b",
        "push": True,
    }
    assert invocation.verbose
    assert desk.notebook.attached == ["colabenv-demo"]
    assert desk.printed == [
        "From the next cell on, cells run in environment 'demo' (Python 3.10.1, process 7, running)."
    ]
    assert "To switch" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "result"), [("up p.yaml --dry-run", DRY_RUN), ("verify demo", DRY_RUN), ("lock p.yaml", DRY_RUN)]
)
def test_other_commands_of_the_shell_show_their_result(
    line: str, result: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = CommandsUnderTest(result)
    desk.commands.run(line)
    assert desk.ran[0].command.name == line.split(maxsplit=1)[0]
    assert capsys.readouterr().out.startswith("Would build x (x)")
    assert desk.notebook.attached == []


def test_an_error_while_building_attaches_nothing() -> None:
    desk = CommandsUnderTest(MachineError("The disk is full."))
    with pytest.raises(MachineError, match="disk"):
        desk.commands.run("up p.yaml")
    assert desk.notebook.attached == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("up", "required: PROFILE"),
        ("up a b", "Unrecognized arguments: b"),
        ("up a --nope", "--nope"),
        ("up a --frozen=1", "--frozen"),
        ("up a --variant", "--variant: expected one argument"),
        ("attach", "required: NAME"),
        ("status --json", "--json"),
        ("why --always --never", "exclude each other"),
        ("fly", "Unknown command: 'fly'"),
        ("run demo -- ls", "does not run programs"),
        ("up 'a", "cannot be read"),
    ],
)
def test_invalid_line_is_a_usage_error(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        CommandsUnderTest().commands.run(line)
    assert caught.value.hint


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    desk = CommandsUnderTest()
    desk.commands.run("")
    for verb in (
        "up",
        "attach",
        "detach",
        "restart",
        "status",
        "lock",
        "store push",
        "doctor",
        "%%base",
        "%%env",
    ):
        assert verb in desk.printed[0]
    desk.commands.run("attach --help")
    assert capsys.readouterr().out.startswith("usage: %colabenv attach")


def test_ipython_shows_an_error_without_our_stack() -> None:
    magics: dict[str, Callable[[str], None]] = {}

    def note(function: Callable[[str], None], magic_kind: str, magic_name: str) -> None:
        magics[magic_name] = function

    register(
        SimpleNamespace(register_magic_function=note),
        CommandsUnderTest(
            MachineError("The disk is full.", hint="Run colabenv gc.", detail="ENOSPC")
        ).commands,
    )
    with pytest.raises(MachineError) as caught:
        magics["colabenv"]("up p.yaml")
    render = caught.value._render_traceback_  # type: ignore[attr-defined]
    assert render() == ["  ENOSPC", "✗ The disk is full.", "  Run colabenv gc."]


def test_loading_outside_of_a_notebook_is_refused() -> None:
    with pytest.raises(UsageError, match="not a notebook"):
        load_ipython_extension(SimpleNamespace())
