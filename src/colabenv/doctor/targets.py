"""Which interpreter to examine, and the variables of a session that runs in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from colabenv.doctor.facts import Target
from colabenv.errors import UsageError
from colabenv.kernel.lookup import find_environment
from colabenv.system.workspace import Workspace


def interpreter_target(python: str, environ: Mapping[str, str]) -> Target:
    """The interpreter at a path; UsageError if it is not a program."""
    path = Path(python).expanduser()
    # If its base was removed, the Python of a virtual environment is a broken link: the doctor can explain that.
    if not path.is_symlink() and not (path.is_file() and os.access(path, os.X_OK)):
        hint = "--python takes the path of a Python interpreter."
        raise UsageError(f"{python} is not a program.", hint=hint)
    return Target(str(path), "interpreter", str(path.absolute()), environ, str(Path.cwd()))


def environment_target(prefix: Path, name: str, environ: Mapping[str, str]) -> Target:
    """The Python of an environment of colabenv, with its kernel's variables."""
    from colabenv.embedded.environ import environment_variables  # noqa: PLC0415
    from colabenv.embedded.launcher import find_cuda_folders  # noqa: PLC0415
    from colabenv.kernel.register import read_settings  # noqa: PLC0415

    libraries, programs = find_cuda_folders(str(prefix))
    variables = environment_variables(
        environ,
        str(prefix),
        variables=read_settings(prefix).get("variables", {}),
        library_paths=libraries,
        program_paths=programs,
    )
    return Target(
        f"the environment {name}", "environment", f"{prefix}/bin/python", variables, str(Path.cwd())
    )


def session_target(environ: Mapping[str, str], host: str) -> Target:
    """The environment that the session's kernel runs in, else the session's own Python."""
    inside = environ.get("COLABENV_INSIDE", "")
    if inside and Path(inside).is_dir():
        return environment_target(Path(inside), Path(inside).parent.name, environ)
    is_colab = host == "colab"
    label = "Colab's own Python" if is_colab else "this Python"
    return Target(label, "base", sys.executable, environ, str(Path.cwd()), is_colab)


def find_prefix(name: str, workspace: Workspace) -> Path:
    """The folder of an environment, even if its stamp is damaged; UsageError if it does not exist."""
    try:
        return find_environment(name, workspace).prefix
    except UsageError:
        folder = workspace.home.envs / name
        if "/" in name or name.startswith(".") or not folder.is_dir():
            raise
        prefixes = [prefix for prefix in folder.glob("[!.]*") if (prefix / "bin").is_dir()]
        if not prefixes:
            raise
        return max(prefixes, key=lambda prefix: prefix.stat().st_mtime)


def is_session(target: Target, environ: Mapping[str, str], host: str) -> bool:
    """Whether a notebook's session runs in a target."""
    inside = environ.get("COLABENV_INSIDE", "")
    if inside:
        return target.kind == "base" or target.python.startswith(f"{inside}/")
    return target.kind == "base" and host in {"colab", "jupyter"}
