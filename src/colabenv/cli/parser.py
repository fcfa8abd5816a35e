"""Parse command lines with the commands of `cli.table`."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from colabenv import __version__
from colabenv.cli.table import COMMANDS, GROUPS, Command
from colabenv.errors import UsageError


class _Parser(argparse.ArgumentParser):
    """argparse's parser, which raises UsageError instead of printing to standard error and exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", hint=self.format_usage().strip())


@dataclass(frozen=True)
class Invocation:
    """A parsed command line."""

    command: Command  #: the command to run
    options: Mapping[str, Any]  #: the arguments that were given, by name
    json: bool = False  #: whether to print the result as JSON
    verbose: bool = False  #: whether to keep every step on the screen


def build_parser(commands: Iterable[Command], program: str = "colabenv") -> argparse.ArgumentParser:
    """The parser of some commands. Its namespace contains only the options that were given."""
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument("-v", "--verbose", action="store_true", help="keep every step on the screen")
    top = _Parser(
        prog=program,
        description="Isolated, locked environments for notebooks on Google Colab.",
        parents=[common],
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"colabenv {__version__}")
    verbs = top.add_subparsers(required=True, metavar="COMMAND")
    groups: dict[str, Any] = {}
    for command in commands:
        group, _, verb = command.name.rpartition(" ")
        if group and group not in groups:
            parser = verbs.add_parser(group, help=GROUPS[group], description=_sentence(GROUPS[group]))
            groups[group] = parser.add_subparsers(required=True, metavar="COMMAND")
        parser = groups.get(group, verbs).add_parser(
            verb,
            help=command.help,
            description=_sentence(command.help),
            parents=[common] if command.returns_result else [],
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
        parser.set_defaults(colabenv_command=command)
        for argument in command.arguments:
            parser.add_argument(*argument.flags, **argument.settings)
    return top


def parse(
    words: Sequence[str], commands: Mapping[str, Command] = COMMANDS, program: str = "colabenv"
) -> Invocation:
    """Parse the arguments of a command line with `commands`; `program` is its name in messages.

    Raises:
        UsageError: the command line is wrong.
        SystemExit: `--help` or `--version` was given, and its text was printed.
    """
    _require_known([*words], commands, program)
    options = vars(build_parser(commands.values(), program).parse_args(words))
    command: Command = options.pop("colabenv_command")
    json, verbose = options.pop("json", False), options.pop("verbose", False)
    if json and not command.returns_result:
        raise UsageError(f"{program} {command.name} does not accept --json.", hint="Leave --json out.")
    return Invocation(command, options, json, verbose)


def words_for(command: str, arguments: Sequence[str], options: Mapping[str, object]) -> list[str]:
    """The command line for keyword arguments: `store="x"` becomes `--store=x`, and `push=True` becomes `--push`."""
    words = [command]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is not None and value is not False:
            words.append(flag if value is True else f"{flag}={value}")
    return [*words, "--", *arguments]


def _require_known(words: Sequence[str], commands: Mapping[str, Command], program: str) -> None:
    """Raise UsageError for an unknown command, with the closest one as a suggestion.

    The command is the first word that is not an option, because no option before it takes a value.
    """
    names = list(dict.fromkeys(name.partition(" ")[0] for name in commands))
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb is not None and verb not in names:
        close = difflib.get_close_matches(verb, names, n=1)
        suggestion = f"Did you mean `{program} {close[0]}`? " if close else ""
        raise UsageError(
            f"Unknown command: {verb!r}.", hint=f"{suggestion}`{program} --help` lists the commands."
        )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
