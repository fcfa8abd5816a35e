"""Arguments in, exit codes out: the one place where errors become exits."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from colabenv import __version__
from colabenv.errors import ColabenvError, MachineError, UsageError
from colabenv.report import Screen

if TYPE_CHECKING:
    from colabenv.commands.common import Context
    from colabenv.commands.results import Result

_INTERRUPTED = 130
_PROFILE = "the YAML profile, or builtin:NAME"


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
    screen = Screen(err=errors, as_json="--json" in own, verbose="-v" in own or "--verbose" in own)
    return run_safely(lambda: _run(parser().parse_args(given), screen), screen)


def run_safely(work: Callable[[], int], screen: Screen) -> int:
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


def _run(options: argparse.Namespace, screen: Screen) -> int:
    environ = dict(os.environ)
    if options.command == "up" and not (options.dry_run or options.switch or options.push):
        # The whole of what happens when nothing has changed; nothing heavy is imported before it.
        from colabenv.commands import receipt  # noqa: PLC0415
        from colabenv.system.home import Home  # noqa: PLC0415

        same = receipt.unchanged(Home.from_environ(environ), options.profile, options.variant, environ)
        if same is not None:
            screen.result(same)
            return 0
    from colabenv.commands.common import Context  # noqa: PLC0415

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
    from colabenv.commands.up import UpOptions, up  # noqa: PLC0415

    given = UpOptions(
        options.variant, options.frozen, options.dry_run, options.switch, options.store, options.push
    )
    return up(options.profile, given, context)


def _lock(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.lock import LockOptions, lock  # noqa: PLC0415

    upgrade = None if options.upgrade is None else tuple(options.upgrade)
    return lock(options.profile, LockOptions(options.variant, upgrade, options.check), context)


def _switch(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.switch import switch  # noqa: PLC0415

    return switch(options.name, context, base=options.base)


def _check(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.check import check  # noqa: PLC0415

    return check(options.profile, context)


def _init(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.init.command import init  # noqa: PLC0415

    return init(options.source, context, output=options.output, force=options.force)


def _profiles(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.profiles import profiles  # noqa: PLC0415

    del options
    return profiles(context)


def _status(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.status import status  # noqa: PLC0415

    return status(options.name, context)


def _down(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.down import down  # noqa: PLC0415

    return down(options.name, context)


def _gc(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.gc import GcOptions, gc  # noqa: PLC0415

    return gc(GcOptions(options.cache, options.dry_run), context)


def _verify(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.verify import verify  # noqa: PLC0415

    return verify(options.name, context)


def _run_command(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.run import run  # noqa: PLC0415

    command = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    if options.json:
        raise UsageError(
            "run shows the program's own output; --json has nothing to add.", hint="Leave --json out."
        )
    run(options.name, command, context)


def _doctor(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.doctor import DoctorOptions, doctor  # noqa: PLC0415

    given = DoctorOptions(
        options.subject,
        options.python,
        options.traceback,
        options.quick,
        options.fix,
        options.yes,
        options.snapshot,
    )
    return doctor(given, context, context.ask)


def _notebook(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.notebook import NotebookOptions, new_notebook, set_notebook  # noqa: PLC0415

    work = set_notebook if options.verb == "set" else new_notebook
    given = NotebookOptions(options.profile, options.install, options.github)
    return work(options.notebook, given, context.outside())


def _save(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.save import save  # noqa: PLC0415

    return save(options.name, context, dry_run=options.dry_run)


def _export(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.export import ExportOptions, export  # noqa: PLC0415

    return export(options.name, ExportOptions(options.format, options.output, options.variant), context)


def _store(options: argparse.Namespace, context: Context) -> Result:
    from colabenv.commands.store_push import store_push  # noqa: PLC0415

    return store_push(options.name, options.store, context)


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


class _Parser(argparse.ArgumentParser):
    """argparse, with its complaints as our errors: one message, a remedy, JSON where that is asked for."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", hint=self.format_usage().strip())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument("-v", "--verbose", action="store_true", help="keep every step on the screen")
    top = _Parser(prog="colabenv", description="Isolated, locked environments for notebooks on Google Colab.")
    top.add_argument("--version", action="version", version=f"colabenv {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    up = command("up", "build the environment of a profile, prove its kernel and register it")
    up.add_argument("profile", help=_PROFILE)
    up.add_argument(
        "--variant", choices=["auto", "cpu", "gpu"], default="auto", help="default: what the machine has"
    )
    up.add_argument("--switch", action="store_true", help="make it the session's default kernel as well")
    up.add_argument("--frozen", action="store_true", help="fail where the lock is missing or does not fit")
    up.add_argument("--dry-run", action="store_true", help="choose versions and stop; writes nothing")
    up.add_argument(
        "--store",
        default="",
        metavar="URL",
        help="take what is kept there instead of installing it: a folder, gs://…, s3://… or https://…; "
        "none for no store",
    )
    up.add_argument("--push", action="store_true", help="keep in the store what it lacks")
    lock = command("lock", "pin a profile for CPU and GPU machines, from any machine; builds nothing")
    lock.add_argument("profile", help=_PROFILE)
    lock.add_argument(
        "--variant",
        choices=["cpu", "gpu", "both"],
        default="both",
        help="default: both, as the profile admits",
    )
    lock.add_argument(
        "--upgrade",
        nargs="*",
        metavar="PACKAGE",
        help="let these packages move, or all where none is named; without it pins stay where they fit",
    )
    lock.add_argument(
        "--check", action="store_true", help="fail where a lock is missing or does not fit; offline"
    )
    check = command("check", "check a profile, offline")
    check.add_argument("profile", help=_PROFILE)
    command("profiles", "list the profiles that ship, to use as builtin:NAME")
    status = command("status", "list environments")
    status.add_argument("name", nargs="?", help="only this one")
    down = command("down", "remove an environment and its kernel")
    down.add_argument("name")
    gc = command("gc", "give back disk: environments that no kernel is registered for, and leftovers")
    gc.add_argument("--cache", action="store_true", help="remove the downloads too")
    gc.add_argument("--dry-run", action="store_true", help="say what would be removed; remove nothing")
    switch = command(
        "switch", "make an environment the session's default kernel, or give it back with --base"
    )
    switch.add_argument("name", nargs="?")
    switch.add_argument("--base", action="store_true", help="back to the machine's own Python")
    verify = command("verify", "prove an environment's kernel again")
    verify.add_argument("name")
    run = command("run", "run a program in an environment: colabenv run NAME -- COMMAND…")
    run.add_argument("name")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- COMMAND…")
    _add_doctor(command("doctor", "say why an import fails here, and the command that mends it"))
    _add_init(command)
    _add_notebook(commands, common)
    _add_store(commands, common)
    save = command("save", "write what was installed by hand since back to the profile and its locks")
    save.add_argument("name", help="the environment")
    save.add_argument("--dry-run", action="store_true", help="say what would change; writes nothing")
    _add_export(command("export", "write an environment or a profile's lock in the format of another tool"))
    return top


def _add_store(commands: Any, common: argparse.ArgumentParser) -> None:
    text = "keep built environments where every machine of a team can restore them"
    verbs = commands.add_parser("store", help=text, description=text).add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text, parents=[common])
        made.add_argument(
            "--store", default="", metavar="URL", help="default: COLABENV_STORE, or what the profile says"
        )
        return made

    push = verb("push", "keep an environment; what the store has already is not sent again")
    push.add_argument(
        "name", nargs="?", default="", help="default: the one you are in, or that was built last"
    )


def _add_doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument(
        "subject",
        nargs="?",
        metavar="NAME|NOTEBOOK",
        help="an environment or an .ipynb file; default: the session's Python",
    )
    doctor.add_argument(
        "--python", default="", metavar="PATH", help="any Python, with nothing of ours installed"
    )
    doctor.add_argument(
        "--traceback", default="", metavar="FILE", help="a file with a traceback; - for standard input"
    )
    # What `%colabenv why` hands over: a file with the failure and the loaded modules of a kernel.
    doctor.add_argument("--snapshot", default="", help=argparse.SUPPRESS)
    doctor.add_argument("--quick", action="store_true", help="read metadata only; try no imports")
    doctor.add_argument("--fix", action="store_true", help="mend what was found, after asking")
    doctor.add_argument("--yes", action="store_true", help="with --fix: do not ask")


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("name", help="an environment, a YAML profile, or builtin:NAME")
    export.add_argument(
        "--format", required=True, choices=["requirements", "pylock", "conda", "dockerfile", "ray"]
    )
    export.add_argument("-o", "--output", default="", metavar="FILE", help="default: the screen")
    export.add_argument(
        "--variant",
        choices=["auto", "cpu", "gpu"],
        default="auto",
        help="default: the environment's or machine's",
    )


def _add_init(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    text = "write a profile from a notebook, a requirements file, a pyproject.toml or an environment.yml; runs nothing"
    init = command("init", text)
    init.add_argument(
        "source",
        nargs="?",
        metavar="FROM",
        help="default: the only one in this folder, else a profile to begin with",
    )
    init.add_argument("-o", "--output", metavar="FILE", help="default: beside FROM")
    init.add_argument("--force", action="store_true", help="write over a profile that is there")


def _add_notebook(commands: Any, common: argparse.ArgumentParser) -> None:
    text = "make a notebook carry its environment: the kernel's name and a first cell that runs up"
    verbs = commands.add_parser("notebook", help=text, description=text).add_subparsers(
        dest="verb", required=True, metavar="set|new"
    )
    for name, what in (
        ("set", "write them into a notebook, and leave all else as it is"),
        ("new", "make one"),
    ):
        verb = verbs.add_parser(name, help=what, description=what, parents=[common])
        verb.add_argument("notebook", help="the .ipynb file")
        verb.add_argument(
            "--profile",
            required=True,
            help="the YAML profile; its path from the notebook's folder is written",
        )
        verb.add_argument(
            "--install",
            default="colabenv",
            metavar="REQUIREMENT",
            help="what pip installs where colabenv is missing",
        )
        verb.add_argument(
            "--github",
            default="",
            metavar="OWNER/REPO[@REF][:FOLDER]",
            help="for the badge; default: as its clone",
        )
