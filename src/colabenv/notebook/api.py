"""colabenv from a notebook cell, as Python."""

from __future__ import annotations

import asyncio
import inspect
import os
from dataclasses import replace
from typing import Any

from colabenv.commands.context import Context
from colabenv.commands.up import up as run_up
from colabenv.errors import UsageError
from colabenv.output.console import Console
from colabenv.output.results import Result, UpResult


def up(
    profile: str, *, restart: bool = False, verbose: bool = False, attach: bool = False, **options: Any
) -> Result:
    """The command line's `up`, showing in the cell what that shows in a terminal.

    Args:
        profile: path of a YAML profile.
        restart: make the environment the session's default kernel and restart the session into it, unless it runs
            there already. What the cell leaves behind is lost, as with any restart.
        verbose: keep every step on the screen.
        attach: the caller attaches the notebook to the environment, so nothing is said about switching.
        options: those of `colabenv.commands.up.up`.

    Raises:
        ColabenvError: with a hint, whenever the job cannot be done; an unknown option is one.
    """
    known = [name for name in inspect.signature(run_up).parameters if name not in ("context", "profile")]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UsageError(
            f"up() has no option {unknown[0]!r}.", hint=f"It has restart, verbose, {', '.join(known)}."
        )
    if restart:
        options["switch"] = True
    # A cell redraws a line at a carriage return, though its stream is no terminal.
    screen = Console(verbose=verbose, live=_shell() is not None)
    result = run_up(Context(os.environ, screen), profile, **options)
    if attach and isinstance(result, UpResult):
        result = replace(result, host="attached")
    screen.result(result)
    if restart and not options.get("dry_run"):
        restart_session(screen)
    return result


def restart_session(screen: Console) -> None:
    """End the notebook's kernel, so that the server starts it again. Outside of a notebook, say that there is none."""
    shell = _shell()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        screen.note("There is no notebook here to restart.")
        return
    screen.note("Restarting the session; the next cell runs in the environment.")
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
