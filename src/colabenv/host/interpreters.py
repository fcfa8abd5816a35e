"""Finding a Python: an installed one, else one that uv downloads."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from colabenv.embedded.environ import remove_leaks
from colabenv.errors import InterpreterError, MachineError
from colabenv.system.process import Runner

#: Seconds for an interpreter to describe itself; the first start from a cold disk is slow.
_LIMIT = 30.0
#: Kernels and most frameworks need these. Pythons that were built by hand often lack some.
_NEEDED_MODULES = ("ssl", "zlib", "ctypes", "bz2", "lzma", "sqlite3")
_QUERY_CODE = f"""
import importlib.util, json, platform, sys, sysconfig
missing = []
for name in {_NEEDED_MODULES!r}:
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
print(json.dumps(dict(
    version=platform.python_version(), implementation=sys.implementation.name,
    executable=getattr(sys, "_base_executable", None) or sys.executable, prefix=sys.base_prefix,
    venv=sys.prefix != sys.base_prefix, missing=missing,
    free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")))))
"""


def minor_version(version: str) -> str:
    """The first two numbers of a version: "3.10" of "3.10.4"."""
    return ".".join(version.split(".")[:2])


@dataclass(frozen=True)
class Interpreter:
    """A CPython that environments can be built on.

    Attributes:
        path: its executable, never that of a virtual environment.
        version: full version, such as "3.10.13".
        origin: where it was found, for messages: "on PATH", "pyenv", "downloaded by uv".
    """

    path: Path
    version: str
    origin: str

    @property
    def minor(self) -> str:
        """Such as "3.10"."""
        return minor_version(self.version)


def find_interpreter(
    wanted: str,
    *,
    environ: Mapping[str, str],
    runner: Runner,
    pythons: Path,
    download: Callable[[str], Path] | None,
) -> Interpreter:
    """Find the interpreter for `wanted`: the first installed one that fits, else a downloaded one.

    Args:
        wanted: "3.10", or a full version such as "3.10.13".
        environ: has PATH and pyenv's root.
        runner: starts the candidates.
        pythons: folder of interpreters that were downloaded before.
        download: downloads a version and returns its executable; None if that is not possible.

    Raises:
        InterpreterError: none is installed and none can be downloaded; the detail lists what was tried.
    """
    rejected: list[str] = []
    seen: set[Path] = set()
    for candidate, origin in iterate_candidates(wanted, environ, pythons):
        real = candidate.resolve()
        if real in seen:
            continue
        seen.add(real)
        interpreter, reason = _query(candidate, origin, environ, runner)
        if interpreter is not None and matches_version(interpreter.version, wanted):
            return interpreter
        if reason:
            rejected.append(f"{candidate} {reason}")
    if download is None:
        raise InterpreterError(
            f"Python {wanted} is not installed here. colabenv downloads Pythons with uv, which is turned off "
            "(COLABENV_INSTALLER=pip).",
            hint=f"Install Python {wanted}, unset COLABENV_INSTALLER, or name an installed Python in the profile.",
            detail="\n".join(rejected),
        )
    path = download(wanted)
    interpreter, reason = _query(path, "downloaded by uv", environ, runner)
    if interpreter is None:
        raise InterpreterError(
            f"The downloaded Python {wanted} cannot be used: it {reason or 'does not exist'}.",
            hint=f"Remove {pythons} and try again. If that does not help, name another Python in the profile.",
        )
    return interpreter


def find_interpreter_problem(path: Path, wanted: str, environ: Mapping[str, str], runner: Runner) -> str:
    """Why an executable is not the wanted Python, as in "does not run"; "" if it is."""
    interpreter, reason = _query(path, "", environ, runner)
    if interpreter is None:
        return reason or "does not exist"
    return "" if matches_version(interpreter.version, wanted) else f"is Python {interpreter.version}"


def matches_version(version: str, wanted: str) -> bool:
    """Whether a full version is the wanted one, or of the wanted minor release."""
    return version == wanted or version.startswith(wanted + ".")


def iterate_candidates(wanted: str, environ: Mapping[str, str], pythons: Path) -> Iterator[tuple[Path, str]]:
    """Executables that may be the wanted Python, each with its origin; the most likely ones first."""
    minor = minor_version(wanted)
    if matches_version(".".join(map(str, sys.version_info[:3])), wanted):
        yield Path(getattr(sys, "_base_executable", None) or sys.executable), "the Python that runs colabenv"
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        for name in (f"python{minor}", "python3"):
            program = shutil.which(name, path=folder) if folder else None
            if program:
                yield Path(program), "on PATH"
    for name in (f"/usr/bin/python{minor}", f"/usr/local/bin/python{minor}"):
        if Path(name).exists():
            yield Path(name), "the system's"
    pyenv = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv") / "versions"
    for version in _newest_first(pyenv, f"{minor}*"):
        yield version / "bin" / f"python{minor}", "pyenv"
    data = Path(environ.get("XDG_DATA_HOME") or Path(environ.get("HOME", "/")) / ".local" / "share")
    for root in (pythons, data / "uv" / "python"):
        for version in _newest_first(root, f"cpython-{minor}*"):
            yield version / "bin" / f"python{minor}", "downloaded by uv"


def _newest_first(root: Path, pattern: str) -> list[Path]:
    """Folders of interpreters below `root`, a higher patch release first."""

    def patch(folder: Path) -> int:
        digits = folder.name.split(".")[2:3]
        number = "".join(character for character in "".join(digits).split("-")[0] if character.isdigit())
        return int(number or 0)

    try:
        return sorted((folder for folder in root.glob(pattern) if folder.is_dir()), key=patch, reverse=True)
    except OSError:
        return []


def _query(
    path: Path, origin: str, environ: Mapping[str, str], runner: Runner
) -> tuple[Interpreter | None, str]:
    """The interpreter of an executable, or why it cannot be used; neither if there is no such file."""
    if not path.exists():
        return None, ""
    try:
        process = runner.run([str(path), "-I", "-c", _QUERY_CODE], env=remove_leaks(environ), timeout=_LIMIT)
        facts = json.loads(process.output) if process.returncode == 0 else None
    except (MachineError, ValueError):
        facts = None
    if not isinstance(facts, dict):
        return None, "does not run"
    if facts["implementation"] != "cpython" or facts["free_threaded"]:
        return None, f"is {facts['implementation']}{', free-threaded' if facts['free_threaded'] else ''}"
    if facts["missing"]:
        return None, f"was built without {', '.join(facts['missing'])}"
    executable = Path(facts["executable"])
    if facts["venv"]:
        # A virtual environment's Python would make the new environment depend on the old one.
        minor = minor_version(facts["version"])
        executable = Path(facts["prefix"]) / "bin" / f"python{minor}"
        if not executable.exists():
            return None, "belongs to a virtual environment whose Python is gone"
    return Interpreter(executable, facts["version"], origin), ""
