"""Arguments in, exit codes out: the one place where errors become exits."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from colabenv.cli.parser import parser
from colabenv.errors import ColabenvError, MachineError, UsageError
from colabenv.output.console import Console

if TYPE_CHECKING:
    from colabenv.commands.context import Context
    from colabenv.output.results import Result

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; `sys.argv` by default.

    Returns:
        The exit code: 0 done, 2 the request is wrong, 3 this machine cannot, 4 no versions satisfy it, 5 built but
        failed its proof, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A notebook that interrupts a `!` line twice sends SIGTERM; it means the same as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    own = given[: given.index("--")] if "--" in given else given
    # What `export` prints may go to a file, so that nothing else may.
    errors = sys.stderr if own[:1] == ["export"] else None
    screen = Console(err=errors, as_json="--json" in own, verbose="-v" in own or "--verbose" in own)
    return run_safely(lambda: _run(parser().parse_args(given), screen), screen)


def run_safely(work: Callable[[], int], screen: Console) -> int:
    """The error boundary: whatever `work` raises becomes a message and an exit code."""
    try:
        return work()
    except ColabenvError as error:
        screen.error(error, log=_log_of(error))
        return error.exit_code
    except KeyboardInterrupt:
        stopped = ColabenvError(
            "Interrupted; nothing half-made is in use.",
            hint="The same command again goes on from what is there.",
        )
        stopped.exit_code = _INTERRUPTED
        screen.error(stopped)
        return _INTERRUPTED
    except OSError as error:
        # What the operating system refused where nobody expected it: still one message, not a traceback.
        where = f" ({error.filename})" if error.filename else ""
        screen.error(
            MachineError(
                f"The machine refused: {error.strerror or error}{where}.",
                hint="A full disk or a folder one may not write to is the usual cause; colabenv status shows both.",
            )
        )
        return MachineError.exit_code


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _log_of(error: ColabenvError) -> str:
    return str(getattr(error, "log", ""))


def _run(options: argparse.Namespace, screen: Console) -> int:
    environ = dict(os.environ)
    from colabenv.commands.context import Context  # noqa: PLC0415

    context = Context(environ, screen, ask=screen.ask)
    try:
        result = _COMMANDS[options.command](options, context)
    except ColabenvError as error:
        if context.log_path.exists():
            error.log = str(context.log_path)  # type: ignore[attr-defined]
        raise
    screen.result(result)
    return result.exit_code


def _up(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.up import up  # noqa: PLC0415

    return up(
        context,
        options.profile,
        variant=options.variant,
        frozen=options.frozen,
        dry_run=options.dry_run,
        switch=options.switch,
        store=options.store,
        push=options.push,
    )


def _lock(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.lock import lock  # noqa: PLC0415

    upgrade = None if options.upgrade is None else tuple(options.upgrade)
    return lock(context, options.profile, variant=options.variant, upgrade=upgrade, check=options.check)


def _switch(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.switch import switch  # noqa: PLC0415

    return switch(context, options.name, base=options.base)


def _check(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.check import check  # noqa: PLC0415

    return check(context, options.profile)


def _init(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.init import init  # noqa: PLC0415

    return init(context, options.source, output=options.output, force=options.force)


def _profiles(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.profiles import profiles  # noqa: PLC0415

    del options
    return profiles(context)


def _status(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.status import status  # noqa: PLC0415

    return status(context, options.name)


def _down(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.down import down  # noqa: PLC0415

    return down(context, options.name)


def _gc(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.gc import gc  # noqa: PLC0415

    return gc(context, cache=options.cache, dry_run=options.dry_run)


def _verify(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.verify import verify  # noqa: PLC0415

    return verify(context, options.name)


def _run_command(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.run import run  # noqa: PLC0415

    command = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    if options.json:
        raise UsageError(
            "run shows the program's own output; --json has nothing to add.", hint="Leave --json out."
        )
    run(context, options.name, command)


def _doctor(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.doctor import doctor  # noqa: PLC0415

    return doctor(
        context,
        options.subject,
        python=options.python,
        traceback=options.traceback,
        quick=options.quick,
        fix=options.fix,
        yes=options.yes,
        snapshot=options.snapshot,
    )


def _notebook(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.notebook import new_notebook, set_notebook  # noqa: PLC0415

    work = set_notebook if options.verb == "set" else new_notebook
    return work(
        context, options.notebook, profile=options.profile, install=options.install, github=options.github
    )


def _save(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.save import save  # noqa: PLC0415

    return save(context, options.name, dry_run=options.dry_run)


def _export(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.export import export  # noqa: PLC0415

    return export(
        context, options.name, format=options.format, output=options.output, variant=options.variant
    )


def _store(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.store import store_gc, store_ls, store_push  # noqa: PLC0415

    if options.verb == "push":
        return store_push(context, options.name, store=options.store, force=options.force)
    if options.verb == "ls":
        return store_ls(context, store=options.store)
    return store_gc(context, store=options.store, keep_days=options.keep_days, dry_run=options.dry_run)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace, Context], Result]] = {
    "up": _up,
    "lock": _lock,
    "init": _init,
    "switch": _switch,
    "check": _check,
    "profiles": _profiles,
    "status": _status,
    "down": _down,
    "gc": _gc,
    "verify": _verify,
    "run": _run_command,
    "doctor": _doctor,
    "notebook": _notebook,
    "save": _save,
    "export": _export,
    "store": _store,
}
