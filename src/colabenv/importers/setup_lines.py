"""Lines that set up colabenv, and runs of this session: neither says what a notebook was written for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from colabenv.importers.notebook import Cell, Notebook

_SETUP: Final = re.compile(
    r"^[ \t]*(?:[!%][^\n]*\bcolabenv\b|(?:import|from)[ \t]+colabenv\b|colabenv\.)[^\n]*", re.MULTILINE
)
_CELL: Final = re.compile(r"\s*%%colabenv\b")
# A line that installs colabenv may install other packages as well.
_INSTALL: Final = re.compile(r"[ \t]*[!%][^|;&]*\bpip3?[ \t]+install\b")
_WORD: Final = re.compile(r"[^\s]*\bcolabenv\b[^\s]*")


def drop_setup(notebook: Notebook) -> Notebook:
    """The notebook without the lines that install and run colabenv, and the outputs and times of their cells."""
    return replace(notebook, cells=tuple(map(_drop_setup, notebook.cells)))


def drop_runs_since(notebook: Notebook, time: str, python: str) -> Notebook:
    """The notebook without what runs since `time` (ISO 8601, UTC) left behind, for a notebook that is open.

    They ran on today's machine, which says nothing about the one that the notebook was written for. The same is true
    of the Python in its metadata if that is the session's own, `python`.
    """
    cells = tuple(
        _forget(cell) if any(run[:19] >= time[:19] for run in cell.times) else cell for cell in notebook.cells
    )
    return replace(notebook, cells=cells, python="" if notebook.python == python else notebook.python)


def _drop_setup(cell: Cell) -> Cell:
    if cell.kind != "code":
        return cell
    if _CELL.match(cell.source):
        return _forget(replace(cell, source=""))
    keep: Callable[[re.Match[str]], str] = lambda match: (  # noqa: E731
        _WORD.sub("", match[0]) if _INSTALL.match(match[0]) else ""
    )
    source = _SETUP.sub(keep, cell.source)
    return _forget(replace(cell, source=source)) if source != cell.source else cell


def _forget(cell: Cell) -> Cell:
    return replace(cell, output="", failure=None, times=())
