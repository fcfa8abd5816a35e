"""Stands in for colabenv inside an environment, where it is not installed: `!python -m colabenv …` works there too.

Standard library only, CPython 3.8. A copy is the package `colabenv` that every environment sees last on its path. It
hands each command to the Python that colabenv was run with.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def command(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The command line and the variables that run colabenv outside of this environment.

    Args:
        arguments: colabenv's own.
    """
    with open(os.path.join(_ROOT, "settings.json"), encoding="utf-8") as file:
        python = json.load(file)["base_python"]
    prefix = os.path.dirname(_ROOT)
    variables = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONNOUSERSITE"}
    }
    paths = variables.get("PATH", "").split(":")
    variables["PATH"] = ":".join(path for path in paths if path != prefix + "/bin")
    # Tells `up` that the notebook need not be switched any more.
    variables["COLABENV_INSIDE"] = prefix
    return [python, "-m", "colabenv", *arguments], variables


def main() -> NoReturn:
    """Become colabenv."""
    argv, variables = command(sys.argv[1:])
    try:
        os.execve(argv[0], argv, variables)
    except OSError as error:
        sys.exit("colabenv: the Python it was installed in is gone (%s: %s)" % (argv[0], error.strerror))


def up(profile: str, **options: Any) -> None:
    """`colabenv.up` in a notebook that runs in an environment: the same command, in the Python it belongs to."""
    import subprocess

    flags = {"variant": "--variant", "frozen": "--frozen", "dry_run": "--dry-run", "switch": "--switch"}
    arguments = ["up", profile]
    for name, value in options.items():
        if name == "restart":
            continue  # this notebook runs in an environment already
        if name not in flags:
            raise TypeError("up() has no option %r" % name)
        arguments += [flags[name]] * bool(value) + ([value] if isinstance(value, str) else [])
    argv, variables = command(arguments)
    process = subprocess.Popen(argv, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in process.stdout or ():
        sys.stdout.write(line.decode("utf-8", "replace"))
        sys.stdout.flush()
    if process.wait():
        raise RuntimeError("colabenv up failed; what it said stands above")


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext colabenv` where the cells run in an environment already: nothing to do but say so."""
    del shell
    sys.stdout.write("These cells run in a colabenv environment already: %s\n" % os.path.dirname(_ROOT))
