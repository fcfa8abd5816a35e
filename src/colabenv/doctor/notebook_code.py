"""Read a notebook without running it: its errors, and what it installs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from colabenv.doctor.installer_output import read_errors
from colabenv.doctor.model import ErrorReport, InstallRequest
from colabenv.doctor.tracebacks import read_tracebacks
from colabenv.importers import imports, install_commands
from colabenv.importers.notebook import CellError, Notebook


def read_notebook_errors(notebook: Notebook) -> Iterator[ErrorReport]:
    """What failed in a notebook's cells: exceptions, and installers in their output. No error counts as local."""
    for cell in notebook.code:
        location = f"cell {cell.number}"
        if cell.output:
            yield from read_errors(cell.output, f"the output of {location}", is_local=False)
        if cell.failure is not None and cell.failure.name != "KeyboardInterrupt":
            yield _read_failure(cell.failure, location)


def _read_failure(failure: CellError, location: str) -> ErrorReport:
    """A cell's exception. The notebook has its class and message; the traceback may be truncated."""
    errors = tuple(read_tracebacks(failure.traceback, location, is_local=False))
    last = errors[-1] if errors else ErrorReport(location, "", "Exception", "", text=failure.traceback)
    return replace(
        last,
        source=location,
        kind=failure.name.rpartition(".")[2] or last.kind,
        message=failure.value or last.message,
        text=last.text or f"{failure.name}: {failure.value}",
        is_local=False,
    )


def read_install_requests(notebook: Notebook) -> Iterator[InstallRequest]:
    """The requirements that a notebook installs, each with what was imported before it."""
    imported = [each for each in imports.find_imports(notebook) if not each.optional]
    for install in install_commands.find_installs(notebook):
        position = (install.location.cell, install.location.line)
        modules_before = [
            each.top for each in imported if (each.location.cell, each.location.line) < position
        ]
        for target in install.targets:
            if target.kind == "package":
                yield InstallRequest(
                    target.text, str(install.location), install.text, frozenset(modules_before)
                )
