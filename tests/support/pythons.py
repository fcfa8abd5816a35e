"""The CPythons on this machine, for tests that need a certain minor version."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from support.timeouts import TIMEOUT

MINORS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
#: Older versions that the embedded files support too.
OLDER_MINORS = ("3.6",)


def _folders() -> list[Path]:
    """Folders of interpreters: pyenv's versions first, because a shim on PATH may not work."""
    # The account's home, not $HOME, which is an empty folder during tests.
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    roots = [Path(os.environ["PYENV_ROOT"])] if os.environ.get("PYENV_ROOT") else []
    versions = [
        path for root in [*roots, home / ".pyenv"] for path in sorted((root / "versions").glob("3.*/bin"))
    ]
    return [*versions, *(Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry)]


def _is_cpython(candidate: Path, minor: str) -> bool:
    """Whether a program runs, is CPython of this minor version, and can create a venv."""
    code = "import sys, venv; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [candidate, "-I", "-c", code], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.split() == ["cpython", minor]


@functools.cache
def find_cpython(minor: str) -> Path | None:
    """A CPython of this minor version, or None if the machine has none."""
    candidates = [shutil.which(f"python{minor}", path=str(folder)) for folder in _folders()]
    return next((Path(path) for path in candidates if path and _is_cpython(Path(path), minor)), None)


@functools.cache
def interpreters() -> dict[str, Path]:
    """The CPython of each minor version from 3.7 to 3.14 that this machine has."""
    return {minor: path for minor in MINORS if (path := find_cpython(minor)) is not None}


@functools.cache
def embedded_interpreters() -> dict[str, Path]:
    """The CPython of each minor version from 3.6 to 3.14 that this machine has."""
    older = {minor: path for minor in OLDER_MINORS if (path := find_cpython(minor)) is not None}
    return {**older, **interpreters()}
