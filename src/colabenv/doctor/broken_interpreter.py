"""Reads the files around an interpreter that does not start, or starts outside of its environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: What the code of `startup_files` writes when it has finished.
COMPLETED = "colabenv survived"


@dataclass(frozen=True)
class InterpreterStart:
    """How an interpreter starts."""

    path: list[str]
    prefix: str
    base_prefix: str
    loaded: list[str]  #: modules that are built in or loaded at its start


def find_lost_environment(python: str) -> str:
    """The virtual environment that contains a program if its pyvenv.cfg is missing, or ""."""
    folder = Path(python).absolute().parent
    prefix = folder.parent
    is_environment = (folder / "activate").is_file() and any(prefix.glob("lib/python3.*/site-packages"))
    return str(prefix) if is_environment and not (prefix / "pyvenv.cfg").exists() else ""


def find_missing_base(python: str) -> str:
    """The file at the end of a chain of links if it does not exist, or ""."""
    path = Path(python)
    for _ in range(40):  # Linux's own limit
        path = path.parent / path.readlink() if path.is_symlink() else path
    return "" if path.exists() else os.path.normpath(path)


def read_environment_files(python: str) -> tuple[str, str, tuple[int, int, int]]:
    """An environment's folder, its pyvenv.cfg and its Python version (zeros if unknown), from files alone."""
    prefix = Path(python).absolute().parent.parent
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    folders = [path.parent.name for path in prefix.glob("lib/python3.*/site-packages")]
    version = re.search(r"^version(?:_info)? *= *(3)\.(\d+)", text, re.MULTILINE) or re.fullmatch(
        r"python(3)\.(\d+)t?", folders[0] if len(folders) == 1 else ""
    )
    return str(prefix), text, (3, int(version[2]), 0) if version else (0, 0, 0)


def startup_files(path: list[str]) -> Iterator[tuple[str, str]]:
    """The files that site runs at every start, each with code that runs it alone and then writes `COMPLETED`."""
    begin = f"import site, sys; sys.path[:] = {path!r}; "
    end = f"; sys.stdout.write({COMPLETED!r})"
    for folder in (entry for entry in path if entry.endswith("-packages")):
        for file in sorted(Path(folder).glob("*.pth")):
            yield str(file), f"{begin}site.addpackage({folder!r}, {file.name!r}, set()){end}"
    for name in ("sitecustomize", "usercustomize"):
        files = (Path(entry, f"{name}.py") for entry in path)
        first = next((file for file in files if file.is_file()), None)
        if first:
            yield str(first), f"{begin}import {name}{end}"


def start_without_site(python: str, bare: InterpreterStart) -> InterpreterStart:
    """How an interpreter would start if its site-packages allowed it; `bare` is its start with `-I -S`."""
    folder = Path(python).absolute().parent.parent
    prefix = str(folder) if (folder / "pyvenv.cfg").exists() else bare.prefix
    minors = {Path(entry).name for entry in bare.path}
    folders = Path(prefix).glob("lib/python3.*/*-packages")
    packages = [str(path) for path in folders if path.parent.name in minors]
    return InterpreterStart([*bare.path, *packages], prefix, bare.base_prefix, bare.loaded)
