"""What the files around an interpreter tell where it does not start, or starts as another than it was made to be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: What code of `run_at_start` writes when it got to its end.
SURVIVED = "colabenv survived"


@dataclass(frozen=True)
class InterpreterStart:
    """How an interpreter starts.

    Attributes:
        path: its sys.path.
        prefix: its sys.prefix.
        base_prefix: its sys.base_prefix.
        loaded: names of built-in modules and of those that are loaded at the start.
    """

    path: list[str]
    prefix: str
    base_prefix: str
    loaded: list[str]


def folder_of(python: str) -> str:
    """The virtual environment that a program lies in if its pyvenv.cfg is gone, or ""."""
    folder = Path(python).absolute().parent
    is_environment = (folder / "activate").is_file() and any(
        folder.parent.glob("lib/python3.*/site-packages")
    )
    return str(folder.parent) if is_environment and not (folder.parent / "pyvenv.cfg").exists() else ""


def end_of(python: str) -> str:
    """The file that a chain of links ends at, if it is not there, or ""."""
    path = Path(python)
    for _ in range(40):  # as many as Linux follows
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return "" if path.exists() else os.path.normpath(path)


def of_venv(python: str) -> tuple[str, str, tuple[int, int, int]]:
    """The folder, the pyvenv.cfg and the Python version (zeros if untold) that files tell of an environment."""
    prefix = Path(python).absolute().parent.parent
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    folders = [path.parent.name for path in prefix.glob("lib/python3.*/site-packages")]
    told = re.search(r"^version(?:_info)? *= *(3)\.(\d+)", text, re.MULTILINE) or re.fullmatch(
        r"python(3)\.(\d+)t?", folders[0] if len(folders) == 1 else ""
    )
    return str(prefix), text, (3, int(told[2]), 0) if told else (0, 0, 0)


def run_at_start(path: list[str]) -> Iterator[tuple[str, str]]:
    """The files that site runs at every start, each with code that runs it alone and then writes `SURVIVED`."""
    end = f"; sys.stdout.write({SURVIVED!r})"
    for folder in [entry for entry in path if entry.endswith("-packages")]:
        for file in sorted(Path(folder).glob("*.pth")):
            code = (
                f"import site, sys; sys.path[:] = {path!r}; site.addpackage({folder!r}, {file.name!r}, set())"
            )
            yield str(file), code + end
    for name in ("sitecustomize", "usercustomize"):
        found = [Path(entry, f"{name}.py") for entry in path if Path(entry, f"{name}.py").is_file()]
        if found:
            yield str(found[0]), f"import sys; sys.path[:] = {path!r}; import {name}{end}"


def start_without_site(python: str, bare: InterpreterStart | None) -> InterpreterStart | None:
    """How an interpreter would start if its site-packages let it.

    Args:
        python: its path.
        bare: how it starts with `-I -S`, which reads none of them; None where that fails, too.
    """
    if bare is None:
        return None
    folder = Path(python).absolute().parent.parent
    prefix = str(folder) if (folder / "pyvenv.cfg").exists() else bare.prefix
    minors = {Path(entry).name for entry in bare.path}
    found = Path(prefix).glob("lib/python3.*/*-packages")
    packages = [str(path) for path in found if path.parent.name in minors]
    return InterpreterStart([*bare.path, *packages], prefix, bare.base_prefix, bare.loaded)
