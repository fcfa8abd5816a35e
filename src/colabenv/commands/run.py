"""`run`: run a program in an environment."""

from __future__ import annotations

import shutil
from typing import NoReturn

from colabenv.commands.context import Context
from colabenv.embedded.environ import environment_variables
from colabenv.embedded.launcher import find_cuda_folders
from colabenv.errors import UsageError
from colabenv.kernel.lookup import find_environment
from colabenv.kernel.register import read_settings
from colabenv.system.process import replace_process


def run(context: Context, name: str, command: list[str]) -> NoReturn:
    """Replace this process by a program, with the environment's PATH and variables and without those of the base.

    Raises:
        UsageError: there is no such environment, or no command.
        MachineError: the command cannot be started.
    """
    words = command[1:] if command[:1] == ["--"] else command
    if not words or (command[0] != "--" and command[0].startswith("-")):
        message = f"colabenv run has no option {command[0]}." if words else "No command was given."
        raise UsageError(message, hint=f"Write the command after --: colabenv run {name} -- python script.py")
    variables, program = variables_for(name, words[0], context)
    replace_process([program, *words[1:]], variables)


def variables_for(name: str, program: str, context: Context) -> tuple[dict[str, str], str]:
    """The variables of an environment, and the program's path.

    Raises:
        UsageError: no such environment, or no such program.
    """
    prefix = find_environment(name, context).prefix
    libraries, programs = find_cuda_folders(str(prefix))
    settings = read_settings(prefix)
    variables = environment_variables(
        context.environ,
        str(prefix),
        variables=settings.get("variables", {}),
        library_paths=libraries,
        program_paths=programs,
    )
    path = shutil.which(program, path=variables["PATH"])
    if path is None:
        raise UsageError(
            f"There is no program {program} in the environment {name} or on this machine.",
            hint=f"To install it: colabenv run {name} -- pip install PACKAGE",
        )
    return variables, path
