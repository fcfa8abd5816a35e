"""The CPythons on this machine, for tests that need one of a certain minor version."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from support.patience import PATIENCE

MINORS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
#: The oldest ones that the embedded files run on.
OLDER_MINORS = ("3.6", "3.7")


def _folders() -> list[Path]:
    """Where interpreters lie: pyenv's versions first, since a shim on PATH may lead nowhere."""
    # The account's home, not $HOME: the tests run with a home of their own.
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    roots = [Path(os.environ["PYENV_ROOT"])] if os.environ.get("PYENV_ROOT") else []
    versions = [
        path for root in [*roots, home / ".pyenv"] for path in sorted((root / "versions").glob("3.*/bin"))
    ]
    return [*versions, *(Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry)]


def _is_cpython(candidate: Path, minor: str) -> bool:
    """Whether the program runs, is CPython of that minor version, and can make a venv."""
    code = "import sys, venv; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [candidate, "-I", "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.split() == ["cpython", minor]


@functools.cache
def find(minor: str) -> Path | None:
    """A CPython of that minor version, or None where the machine has none."""
    names = [shutil.which(f"python{minor}", path=str(folder)) for folder in _folders()]
    usable = (Path(name) for name in names if name and _is_cpython(Path(name), minor))
    return next(usable, None)


@functools.cache
def interpreters() -> dict[str, Path]:
    """Minor version to a CPython of it, from 3.8 to 3.13; those that are not on the machine are absent."""
    return {minor: found for minor in MINORS if (found := find(minor)) is not None}


@functools.cache
def embedded_interpreters() -> dict[str, Path]:
    """Minor version to a CPython of it, from 3.6 to 3.13; absent ones are left out."""
    older = {minor: found for minor in OLDER_MINORS if (found := find(minor)) is not None}
    return {**older, **interpreters()}
