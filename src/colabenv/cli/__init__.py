"""Run a command from its arguments. Only here do errors become exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from colabenv.cli.parser import Invocation, parse
from colabenv.errors import ColabenvError, MachineError
from colabenv.output.console import Console

if TYPE_CHECKING:
    from colabenv.importers.notebook_source import CellProfile, NotebookSource
    from colabenv.output.results import Result

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; `sys.argv` by default.

    Returns:
        The exit code: 0 done, 1 the doctor found something, 2 the request is wrong, 3 this machine cannot do it, 4 no
        versions satisfy the profile, 5 built, but its check failed, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    # A notebook that interrupts a `!` line twice sends SIGTERM; it means the same as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        invocation = parse(words)
    except ColabenvError as error:
        Console(as_json="--json" in words).error(error)
        return error.exit_code
    console = Console(as_json=invocation.json, verbose=invocation.verbose)
    return run_safely(lambda: _run(invocation, console), console)


def run_safely(work: Callable[[], int], console: Console) -> int:
    """Call `work`, which returns an exit code; an error that it raises becomes a message and an exit code."""
    try:
        return work()
    except (ColabenvError, KeyboardInterrupt, OSError) as error:
        reported = as_colabenv_error(error)
        console.error(reported)
        return reported.exit_code


def as_colabenv_error(error: ColabenvError | KeyboardInterrupt | OSError) -> ColabenvError:
    """The error to show to the user for an exception."""
    if isinstance(error, ColabenvError):
        return error
    if isinstance(error, OSError):
        path = f" ({error.filename})" if error.filename else ""
        return MachineError(
            f"Operating system error: {error.strerror or error}{path}.",
            hint="The usual causes are a full disk and a folder that you cannot write to. `colabenv status` shows "
            "where colabenv keeps its files and how much space is free.",
        )
    interruption = ColabenvError(
        "Interrupted. No partial environment was left behind.", hint="Run the command again to continue."
    )
    interruption.exit_code = _INTERRUPTED
    return interruption


def execute(
    invocation: Invocation,
    console: Console,
    open_notebook: Callable[[], NotebookSource | CellProfile] | None = None,
) -> Result:
    """Run a command and return its result without showing it; for `open_notebook`, see `Context`.

    Raises ColabenvError with the path of the log.
    """
    from colabenv.commands.context import Context  # noqa: PLC0415 - not needed by an `up` with nothing to do

    context = Context(dict(os.environ), console, ask=console.ask, open_notebook=open_notebook)
    try:
        result: Result = invocation.command.load()(context, **invocation.options)
    except ColabenvError as error:
        if context.log_path.exists():
            error.log = str(context.log_path)
        raise
    return result


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _run(invocation: Invocation, console: Console) -> int:
    result = execute(invocation, console)
    console.result(result)
    return result.exit_code
