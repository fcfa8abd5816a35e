"""`colabenv.up()` for notebook cells."""

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
    """Run `colabenv up` and show its output in the cell.

    Args:
        profile: path of a YAML profile, or `builtin:NAME`.
        restart: make the environment the session's default kernel and restart the session into it, unless it runs
            there already. As with any restart, the session's variables are lost.
        verbose: keep every step on the screen.
        options: those of `colabenv up`, with underscores: `store="gs://…"`, `dry_run=True`.

    Raises:
        ColabenvError: the environment cannot be built, or an option is wrong; its hint says what to do.
    """
    invocation = parse(words_for("up", [profile], options | ({"switch": True} if restart else {})))
    console = cell_console(verbose=verbose)
    result = execute(invocation, console)
    console.result(result)
    if restart and not options.get("dry_run"):
        restart_session(console)
    return result


def cell_console(*, as_json: bool = False, verbose: bool = False) -> Console:
    """A console for a cell: with one stream, which keeps the order of the output, and a live line."""
    return Console(sys.stdout, sys.stdout, as_json=as_json, verbose=verbose, live=_get_shell() is not None)


def restart_session(console: Console) -> None:
    """End the notebook's kernel, so that the server starts it again. Outside of a notebook, only show a note."""
    shell = _get_shell()
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


def _get_shell() -> Any:
    """The IPython shell of this process, or None."""
    try:
        from IPython import get_ipython  # noqa: PLC0415 - not a dependency, so it may be missing
    except ImportError:
        return None
    return get_ipython()
