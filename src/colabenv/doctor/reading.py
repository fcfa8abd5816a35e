"""What people hand to the doctor: the text of a failure, or a notebook. Pure; nothing is run."""

from __future__ import annotations

from colabenv.doctor import installers, tracebacks
from colabenv.doctor.model import Complaint, Usage
from colabenv.sources.imports import imports
from colabenv.sources.notebook import Cell, Notebook


def complaints_in(text: str, source: str, *, here: bool = True) -> tuple[Complaint, ...]:
    """The exceptions in a text, and what pip and uv could not install.

    Args:
        text: a traceback, or the output of a cell or of an installer.
        source: as `Complaint.source`.
        here: as `Complaint.here`.
    """
    raised = tuple(tracebacks.complaints_in(text, source, here=here))
    return (*raised, *installers.refusals_in(text, f"{source}, installing" if raised else source, here=here))


def complaints_of(notebook: Notebook, *, here: bool) -> tuple[Complaint, ...]:
    """What failed in a notebook's cells: exceptions, and installers in their output.

    Args:
        notebook: to read.
        here: whether it ran in the interpreter that is examined.
    """
    return tuple(one for cell in notebook.code for one in _of_cell(cell, here))


def usages_of(notebook: Notebook) -> tuple[Usage, ...]:
    """The names that a notebook imports."""
    lines = {cell.number: cell.source.splitlines() for cell in notebook.code}
    return tuple(
        Usage(name, f"{one.place}, line {one.place.line}", lines[one.place.cell][one.place.line - 1].strip())
        for one in imports(notebook)
        for name in one.dotted
    )


def _of_cell(cell: Cell, here: bool) -> tuple[Complaint, ...]:
    source = f"cell {cell.number}"
    said = complaints_in(cell.output, source, here=here) if cell.output else ()
    if cell.failure is None:
        return said
    # IPython's own layout names no class where the text was cut off; the notebook's fields do.
    raised = tuple(tracebacks.complaints_in(cell.failure.traceback, source, here=here))
    if raised:
        return (*said, raised[-1])
    failure = cell.failure
    return (*said, Complaint(source, "", failure.name, failure.value, text=failure.traceback, here=here))
