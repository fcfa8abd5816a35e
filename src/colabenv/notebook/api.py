"""colabenv from a notebook cell, as Python."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any

from colabenv.cli import execute
from colabenv.cli.parser import parse, words_for
from colabenv.output.console import Console
from colabenv.output.results import Result


def up(profile: str, *, restart: bool = False, verbose: bool = False, **options: Any) -> Result:
    """The command line's `up`, showing in the cell what that shows in a terminal.

    Args:
        profile: path of a YAML profile, or `builtin:NAME`.
        restart: make the environment the session's default kernel and restart the session into it, unless it runs
            there already. What the cell leaves behind is lost, as with any restart.
        verbose: keep every step on the screen.
        options: those of `colabenv up`, with underscores: `store="gs://…"`, `dry_run=True`.

    Raises:
        ColabenvError: with a hint, whenever the job cannot be done; an unknown option is one.
    """
    invocation = parse(words_for("up", [profile], options | ({"switch": True} if restart else {})))
    console = cell_console(verbose=verbose)
    result = execute(invocation, console)
    console.result(result)
    if restart and not options.get("dry_run"):
        restart_session(console)
    return result


def cell_console(*, as_json: bool = False, verbose: bool = False) -> Console:
    """A console for a cell: one stream keeps the order, and a cell redraws a line at a carriage return."""
    return Console(sys.stdout, sys.stdout, as_json=as_json, verbose=verbose, live=_shell() is not None)


def restart_session(console: Console) -> None:
    """End the notebook's kernel, so that the server starts it again. Outside of a notebook, say that there is none."""
    shell = _shell()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        console.note("This is not a notebook, so there is no session to restart.")
        return
    console.note("Restarting the session. The next cell runs in the environment.")
    # A cell that waits already ("Run all") must not run in the kernel that is ending.
    kernel.shell_handlers["execute_request"] = _never
    done = kernel.do_shutdown(True)
    if inspect.isawaitable(done):  # newer ipykernels
        asyncio.ensure_future(done)  # noqa: RUF006 - the process ends with it


async def _never(*request: object) -> None:
    """Take a request and do nothing until the process ends, within a moment."""
    del request
    await asyncio.sleep(60)


def _shell() -> Any:
    """The IPython shell of this process, or None."""
    try:
        from IPython import get_ipython  # noqa: PLC0415 - not a dependency: there may be none
    except ImportError:
        return None
    return get_ipython()
