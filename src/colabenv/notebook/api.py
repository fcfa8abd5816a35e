"""`colabenv.up()` for notebook cells."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any

from colabenv.cli import execute
from colabenv.cli.parser import Invocation, parse, words_for
from colabenv.output.console import Console
from colabenv.output.results import Result

if TYPE_CHECKING:
    from colabenv.importers.notebook_source import CellProfile, NotebookSource


def up(profile: str | None = None, *, restart: bool = False, verbose: bool = False, **options: Any) -> Result:
    """Run `colabenv up` and show its output in the cell.

    Args:
        profile: path or address of a profile or a notebook, or `builtin:NAME`; by default, the open notebook.
        restart: make the environment the session's default kernel and restart the session into it, unless it runs
            there already. As with any restart, the session's variables are lost.
        verbose: keep every step on the screen.
        options: those of `colabenv up`, with underscores: `store="gs://…"`, `dry_run=True`.

    Raises:
        ColabenvError: the environment cannot be built, or an option is wrong; its hint says what to do.
    """
    arguments = [] if profile is None else [profile]
    invocation = parse(words_for("up", arguments, options | ({"switch": True} if restart else {})))
    console = cell_console(verbose=verbose)
    result = execute_in_notebook(invocation, console)
    console.result(result)
    if restart and not options.get("dry_run"):
        restart_session(console)
    return result


def execute_in_notebook(invocation: Invocation, console: Console, cell: CellProfile | None = None) -> Result:
    """Run a command that may ask for the profile in its cell, or the open notebook; errors as for `cli.execute`."""
    if cell is not None:
        return execute(invocation, console, lambda: cell)
    shell = get_shell()
    if shell is None:
        return execute(invocation, console)

    def find() -> NotebookSource:
        from colabenv.notebook.open_notebook import find_open_notebook  # noqa: PLC0415 - seldom needed

        return find_open_notebook(shell, os.environ)

    return execute(invocation, console, find)


def cell_console(*, as_json: bool = False, verbose: bool = False) -> Console:
    """A console for a cell: with one stream, which keeps the order of the output, a live line, and cards as HTML."""
    shell = get_shell()

    def show(bundle: dict[str, str]) -> None:
        from IPython.display import display  # noqa: PLC0415 - there is a shell, so it is there

        display(bundle, raw=True)

    return Console(
        sys.stdout,
        sys.stdout,
        as_json=as_json,
        verbose=verbose,
        live=shell is not None,
        display=show if shell else None,
    )


def restart_session(console: Console) -> None:
    """End the notebook's kernel, so that the server starts it again. Outside of a notebook, only show a note."""
    shell = get_shell()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        console.note("This is not a notebook, so there is no session to restart.")
        return
    console.note("Restarting the session. The next cell runs in the environment.")
    # A cell that is already waiting ("Run all") must not run in the kernel that is ending.
    kernel.shell_handlers["execute_request"] = _ignore_request
    shutdown = kernel.do_shutdown(True)
    if inspect.isawaitable(shutdown):  # newer ipykernels
        asyncio.ensure_future(shutdown)  # noqa: RUF006 - the process ends with it


async def _ignore_request(*request: object) -> None:
    """Accept a request and do nothing until the process ends shortly afterwards."""
    del request
    await asyncio.sleep(60)


def get_shell() -> Any:
    """The IPython shell of this process, or None."""
    try:
        from IPython import get_ipython  # noqa: PLC0415 - not a dependency, so it may be missing
    except ImportError:
        return None
    return get_ipython()
