"""All commands and their options: the shell, `%colabenv` and `colabenv.up()` read this one table."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from colabenv.errors import UsageError


@dataclass(frozen=True)
class Argument:
    """An argument of a command, as argparse's `add_argument` takes it."""

    flags: tuple[str, ...]  #: the name of a positional argument, or the flags of an option
    settings: Mapping[
        str, Any
    ]  #: keyword arguments; without `default`, because the command's function has defaults


def argument(*flags: str, **settings: Any) -> Argument:
    """Make an `Argument` from the arguments of `add_argument`; a positional one is shown in capitals."""
    metavar = {} if flags[0].startswith("-") else {"metavar": flags[0].upper()}
    return Argument(flags, metavar | settings)


@dataclass(frozen=True)
class Command:
    """A command of the shell, of `%colabenv`, or of both."""

    name: str  #: one word, or two for a command of a group
    help: str  #: what it does, without a full stop
    #: "module:function"; the function takes a `Context`, and the arguments by name. It is imported when the
    #: command runs, so that an `up` with nothing to do imports little.
    target: str
    arguments: tuple[Argument, ...] = ()  #: what it accepts besides `--json` and `--verbose`
    in_notebook: bool = True  #: whether `%colabenv` offers it
    returns_result: bool = True  #: whether it returns a `Result`, and so accepts `--json` and `--verbose`

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        module, _, function = self.target.partition(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return loaded


def _parse_days(text: str) -> float:
    """The value of `--keep-days`. Raises UsageError if it is not a number; `store_gc` checks its range."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"Invalid value for --keep-days: {text}.", hint="Use a number of days, such as --keep-days 30."
        ) from None


def _command(name: str, text: str, *arguments: Argument, target: str = "", **settings: bool) -> Command:
    """A command; by default, the function `store_ls` in `commands/store.py` runs `store ls`."""
    target = target or f"{name.partition(' ')[0]}:{name.replace(' ', '_')}"
    return Command(name, text, f"colabenv.commands.{target}", arguments, **settings)


_NAME = argument("name", help="the environment")
_REFERENCE = "path or address of a profile or a notebook, gh:OWNER/REPO/PATH@REF, or builtin:NAME"
_PROFILE = argument("profile", help=_REFERENCE)
_DRY_RUN = argument("--dry-run", action="store_true", help="show what would change, and change nothing")
_STORE = argument(
    "--store", metavar="URL", help="default: the variable COLABENV_STORE, or `store` in the profile"
)
_NOTEBOOK = (
    argument("notebook", help="path of the .ipynb file"),
    argument(
        "--profile",
        metavar="PROFILE",
        help="path of a YAML profile, or builtin:NAME; default: NAME.yaml beside NAME.ipynb",
    ),
    argument(
        "--embed",
        action="store_true",
        help="store the profile and its locks in the notebook, which then needs no other file",
    ),
    argument(
        "--install", metavar="REQUIREMENT", help="what pip installs if colabenv is missing; default: colabenv"
    ),
    argument(
        "--github",
        metavar="OWNER/REPO[@REF][:FOLDER]",
        help="where the notebook is on GitHub, for the badge; default: read from the Git clone",
    ),
)

#: The descriptions of command groups.
GROUPS: Mapping[str, str] = {
    "notebook": "set up a notebook that builds and uses an environment",
    "store": "share built environments between machines",
}

_COMMANDS = (
    _command(
        "up",
        "build the environment of a profile or a notebook, check its kernel and register it",
        argument(
            "profile",
            nargs="?",
            help=f"{_REFERENCE}; default: the open notebook, or the only one in this folder",
        ),
        argument("--variant", choices=["auto", "cpu", "gpu"], help="default: auto, the one for this machine"),
        argument("--switch", action="store_true", help="also make it the session's default kernel"),
        argument("--frozen", action="store_true", help="fail if the lock is missing or does not fit"),
        argument("--dry-run", action="store_true", help="choose versions and stop; write nothing"),
        argument(
            "--store",
            metavar="URL",
            help="restore packages from this store: a folder, gs://…, s3://… or https://…; none for no store",
        ),
        argument("--push", action="store_true", help="upload what the store lacks"),
    ),
    _command(
        "init",
        "write a profile from a notebook, a requirements file, a pyproject.toml or an environment.yml",
        argument(
            "source",
            nargs="?",
            metavar="FROM",
            help="a file or its address; default: the only such file in this folder",
        ),
        argument("-o", "--output", metavar="FILE", help="default: beside FROM"),
        argument("--force", action="store_true", help="overwrite an existing profile"),
    ),
    _command("check", "validate a profile, offline", _PROFILE),
    _command(
        "lock",
        "lock a profile for CPU and GPU machines, from any machine",
        _PROFILE,
        argument("--variant", choices=["cpu", "gpu", "both"], help="default: both, if the profile allows it"),
        argument(
            "--upgrade",
            nargs="*",
            metavar="PACKAGE",
            help="upgrade these packages, or all; without it, versions stay if they still fit",
        ),
        argument("--check", action="store_true", help="fail if a lock is missing or does not fit; offline"),
    ),
    _command("profiles", "list the built-in profiles"),
    _command(
        "status",
        "list environments",
        argument("name", nargs="?", help="show only this environment"),
        in_notebook=False,  # there, `status` shows where cells run
    ),
    _command(
        "switch",
        "make an environment the session's default kernel, or go back",
        argument("name", nargs="?", help="the environment"),
        argument("--base", action="store_true", help="go back to the machine's own Python"),
    ),
    _command("verify", "check an environment's kernel again", _NAME),
    _command(
        "doctor",
        "explain why an import fails, and show the command that fixes it",
        argument(
            "subject",
            nargs="?",
            metavar="NAME|NOTEBOOK",
            help="an environment or an .ipynb file; default: the session's Python",
        ),
        argument(
            "--python", metavar="PATH", help="examine this Python; colabenv need not be installed there"
        ),
        argument("--traceback", metavar="FILE", help="explain a traceback in a file; - for standard input"),
        # `%colabenv why` passes a file with the failure and the loaded modules of a kernel.
        argument("--snapshot", help=argparse.SUPPRESS),
        argument("--quick", action="store_true", help="read metadata only; try no imports"),
        argument("--fix", action="store_true", help="run the commands that fix it, after asking"),
        argument("--yes", action="store_true", help="with --fix: do not ask"),
    ),
    _command(
        "run",
        "run a program in an environment",
        _NAME,
        argument("command", nargs=argparse.REMAINDER, help="after --: the program and its arguments"),
        in_notebook=False,  # it replaces its own process
        returns_result=False,
    ),
    _command("save", "write packages you installed by hand to the profile and its locks", _NAME, _DRY_RUN),
    _command(
        "export",
        "write an environment or a profile's lock in another tool's format",
        argument("name", help=f"an environment, or {_REFERENCE}"),
        argument("--format", required=True, choices=["requirements", "pylock", "conda", "dockerfile", "ray"]),
        argument("-o", "--output", metavar="FILE", help="default: standard output"),
        argument(
            "--variant", choices=["auto", "cpu", "gpu"], help="default: the environment's or this machine's"
        ),
    ),
    _command(
        "notebook set",
        "add the kernel's name and a first cell to a notebook, and change nothing else",
        *_NOTEBOOK,
        target="notebook:set_notebook",
    ),
    _command(
        "notebook new",
        "create a notebook with the kernel's name and a first cell",
        *_NOTEBOOK,
        target="notebook:new_notebook",
    ),
    _command(
        "store push",
        "upload an environment; packages that the store has are not uploaded again",
        argument("name", nargs="?", help="default: the environment you are in, or the newest"),
        _STORE,
        argument(
            "--force",
            action="store_true",
            help="upload everything again, for example to replace damaged packages",
        ),
    ),
    _command(
        "store ls", "list the environments in a store, their size, and when they were last used", _STORE
    ),
    _command(
        "store gc",
        "remove environments that nobody used recently, and packages that no environment needs",
        _STORE,
        argument(
            "--keep-days",
            type=_parse_days,
            required=True,
            metavar="N",
            help="keep environments used in the last N days",
        ),
        _DRY_RUN,
    ),
    _command("down", "remove an environment and its kernel", _NAME),
    _command(
        "gc",
        "free disk space: remove environments without a registered kernel, and leftovers of interrupted runs",
        argument("--cache", action="store_true", help="also remove the downloads"),
        _DRY_RUN,
    ),
)
COMMANDS: Mapping[str, Command] = {command.name: command for command in _COMMANDS}
