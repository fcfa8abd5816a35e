"""The `%colabenv` magic: its commands, their output and errors."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from colabenv.cli.parser import Invocation
from colabenv.errors import ColabenvError, MachineError, UsageError
from colabenv.importers.notebook_source import CellProfile
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


class FakeAttachment(Attachment):
    """An attachment that only records the environments to attach to."""

    def __init__(self) -> None:
        self.attached: list[str] = []

    def attach(self, name: str) -> Any:
        self.attached.append(name)
        info = {"language_info": {"name": "python", "version": "3.10.1"}}
        return SimpleNamespace(name="demo", info=info, pid=7, alive=True)


class CommandsUnderTest:
    """The commands of a notebook, with a shell that only records what it should run."""

    def __init__(self, result: Result | ColabenvError = UP) -> None:
        self.ran: list[Invocation] = []
        self.cells: list[CellProfile | None] = []
        self.printed: list[str] = []
        self.attachment = FakeAttachment()
        self._result = result
        self.commands = Commands(self.attachment, run=self._run, say=self.printed.append)

    def _run(self, invocation: Invocation, _console: Console, cell: CellProfile | None) -> Result:
        self.ran.append(invocation)
        self.cells.append(cell)
        if isinstance(self._result, ColabenvError):
            raise self._result
        return self._result


def test_up_builds_and_attaches(capsys: pytest.CaptureFixture[str]) -> None:
    magic = CommandsUnderTest()
    magic.commands.run("up 'my profile.yaml' --variant cpu --store=gs://a/b --push -v")
    (invocation,) = magic.ran
    assert invocation.options == {
        "profile": "my profile.yaml",
        "variant": "cpu",
        "store": "gs://a/b",
        "push": True,
    }
    assert invocation.verbose
    assert magic.attachment.attached == ["colabenv-demo"]
    assert magic.printed == [
        "From the next cell on, cells run in environment 'demo' (Python 3.10.1, process 7, running)."
    ]
    assert "To switch" not in capsys.readouterr().out


@pytest.mark.parametrize("line", ["up p.yaml --dry-run", "verify demo", "lock p.yaml"])
def test_other_commands_print_their_result_and_do_not_attach(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    magic = CommandsUnderTest(DRY_RUN)
    magic.commands.run(line)
    assert magic.ran[0].command.name == line.split(maxsplit=1)[0]
    assert capsys.readouterr().out.startswith("Would build x (x)")
    assert magic.attachment.attached == []


def test_cell_magic_passes_the_profile_below_it() -> None:
    magic = CommandsUnderTest()
    magic.commands.run("up --variant cpu", "name: x\n")
    assert magic.cells == [CellProfile("name: x\n")]
    assert magic.attachment.attached == ["colabenv-demo"]
    for line in ("up profile.yaml", "attach demo", "check p.yaml", ""):
        with pytest.raises(UsageError, match="cannot use the text below it"):
            magic.commands.run(line, "name: x\n")
    assert len(magic.ran) == 1


def test_failed_build_does_not_attach() -> None:
    magic = CommandsUnderTest(MachineError("The disk is full."))
    with pytest.raises(MachineError, match="disk"):
        magic.commands.run("up p.yaml")
    assert magic.attachment.attached == []


def usage_error(line: str) -> UsageError:
    """The error of `%colabenv LINE`."""
    try:
        CommandsUnderTest().commands.run(line)
    except UsageError as error:
        return error
    pytest.fail(f"%colabenv {line} raises no usage error")


def test_invalid_line_is_a_usage_error() -> None:
    errors = {
        "check": "required: PROFILE",
        "up a b": "Unrecognized arguments: b",
        "up a --nope": "--nope",
        "up a --frozen=1": "--frozen",
        "up a --variant": "--variant: expected one argument",
        "attach": "required: NAME",
        "status --json": "--json",
        "why --always --never": "cannot be used together",
        "fly": "Unknown command: 'fly'",
        "run demo -- ls": "does not run programs",
        "up 'a": "cannot be read",
    }
    for line, message in errors.items():
        error = usage_error(line)
        assert message in str(error), line
        assert error.hint, line


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    magic = CommandsUnderTest()
    magic.commands.run("")
    for command in (
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
        assert command in magic.printed[0]
    magic.commands.run("attach --help")
    assert capsys.readouterr().out.startswith("usage: %colabenv attach")


def test_ipython_shows_an_error_without_a_traceback() -> None:
    magics: dict[str, Callable[[str], None]] = {}

    def register_magic(function: Callable[[str], None], magic_kind: str, magic_name: str) -> None:
        magics[magic_name] = function

    register(
        SimpleNamespace(register_magic_function=register_magic),
        CommandsUnderTest(
            MachineError("The disk is full.", hint="Run colabenv gc.", detail="ENOSPC")
        ).commands,
    )
    with pytest.raises(MachineError) as caught:
        magics["colabenv"]("up p.yaml")
    render = caught.value._render_traceback_  # type: ignore[attr-defined]
    assert render() == ["  ENOSPC", "✗ The disk is full.", "  Run colabenv gc."]


def test_extension_loads_only_in_a_notebook() -> None:
    with pytest.raises(UsageError, match="not a notebook"):
        load_ipython_extension(SimpleNamespace())
