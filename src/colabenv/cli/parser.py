"""The command line: which commands there are, and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from colabenv import __version__
from colabenv.errors import UsageError

_PROFILE = "the YAML profile, or builtin:NAME"


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
        help="restore packages from a store: a folder, gs://…, s3://… or https://…; none for no store",
    )
    up.add_argument("--push", action="store_true", help="upload to the store what it lacks")
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


def days(text: str) -> float:
    """A number of days; argparse names this function where it is none."""
    return float(text)


def _add_store(commands: Any, common: argparse.ArgumentParser) -> None:
    text = "share built environments between machines"
    verbs = commands.add_parser("store", help=text, description=text).add_subparsers(
        dest="verb", required=True, metavar="push|ls|gc"
    )

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text, parents=[common])
        made.add_argument(
            "--store", default="", metavar="URL", help="default: COLABENV_STORE, or the profile's store"
        )
        return made

    push = verb("push", "upload an environment; packages that the store has are not uploaded again")
    push.add_argument(
        "name", nargs="?", default="", help="default: the one you are in, or that was built last"
    )
    push.add_argument(
        "--force", action="store_true", help="upload everything again, for example to replace damaged objects"
    )
    verb("ls", "list the environments in a store, their size, and when they were last used")
    gc = verb("gc", "remove environments that nobody used recently, and layers that no environment needs")
    gc.add_argument(
        "--keep-days", type=days, required=True, metavar="N", help="keep environments used in the last N days"
    )
    gc.add_argument("--dry-run", action="store_true", help="show what would be removed; remove nothing")


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
    init.add_argument("-o", "--output", default="", metavar="FILE", help="default: beside FROM")
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
