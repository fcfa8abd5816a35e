"""A user who opens a notebook on the stand-in machine and selects "Run all"."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rescuelib.cells import has_install_line, may_take_long, split_imports
from rescuelib.outcome import Executed, Failure
from support.colab.cell import ESCAPES, CellResult
from support.colab.machine import ColabMachine
from support.colab.page import KernelDiedError, Page, RefusedError

Notebook = Mapping[str, Any]

#: Seconds that a cell gets after it was interrupted.
_GRACE = 60


class Answers(deque[str]):
    """What the user types at every prompt."""

    def popleft(self) -> str:
        """The next answer."""
        return "1"


@dataclass(frozen=True)
class Limits:
    """Seconds after which a cell is interrupted, by what it does."""

    cell: float = 60
    imports: float = 600  #: with an import or a program, whose speed depends on the machine
    install: float = 1800
    notebook: float = 3600  #: after which the rest of the notebook is not run


@dataclass
class Run:
    """What happened: the added cells and the notebook's own, each with its seconds."""

    added: list[Executed] = field(default_factory=list)
    cells: list[Executed] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def run_all(
    machine: ColabMachine,
    name: str,
    notebook: Notebook,
    added: Sequence[str],
    limits: Limits,
    log: Callable[[str], None],
) -> Run:
    """Run the added cells and then the notebook's, in order; a failed cell does not stop the others.

    Args:
        machine: a machine for this run only.
        name: the notebook's file name.
        notebook: its JSON. The page hands it out with the added cells, as Colab's does.
        added: code of the cells at its top.
        limits: of time.
        log: receives each cell's output.
    """
    opened = with_added_cells(name, notebook, added)
    page = open_page(machine, name, opened)
    run = Run()
    deadline = time.monotonic() + limits.notebook
    for number, cell in enumerate(code_cells(opened)):
        code = source(cell)
        started = time.monotonic()
        executed = run_cell(page, code, limits) if started < deadline else Executed(code, "lost")
        executed = with_published(executed, cell)
        took = time.monotonic() - started
        log(
            f"--- cell {number - len(added)}: {executed.status}, {took:.1f} s\n{code}\n>>>\n{executed.text}\n"
        )
        if number < len(added):
            run.added.append(executed)
        else:
            run.cells.append(executed)
            run.seconds.append(took)
    return run


def with_added_cells(name: str, notebook: Notebook, added: Sequence[str]) -> dict[str, Any]:
    """The notebook as the page holds it, with cells added at its top."""
    cells = [
        {"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": None}
        for code in added
    ]
    metadata = dict(notebook.get("metadata", {}))
    metadata["colab"] = {**metadata.get("colab", {}), "name": name}
    return {**notebook, "metadata": metadata, "cells": [*cells, *all_cells(notebook)]}


def all_cells(notebook: Notebook) -> list[dict[str, Any]]:
    """The cells; notebooks of format 3 keep them in worksheets, which the page converts."""
    if "worksheets" not in notebook:
        return list(notebook.get("cells", []))
    cells = [dict(cell) for sheet in notebook["worksheets"] for cell in sheet["cells"]]
    return [{**cell, "source": cell.get("source", cell.get("input", ""))} for cell in cells]


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    """The code cells that have code."""
    return [cell for cell in all_cells(notebook) if cell.get("cell_type") == "code" and source(cell).strip()]


def source(cell: Mapping[str, Any]) -> str:
    """The code of a cell."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def open_page(machine: ColabMachine, name: str, notebook: Notebook) -> Page:
    """Open an empty notebook for Colab's own kernel; the page hands out the given one.

    The user uploads nothing, so file dialogs are refused, and answers every prompt with 1.
    """
    page = machine.open(name, "python3")
    page.typed = Answers()
    page.handlers["get_ipynb"] = lambda _: {"ipynb": notebook}
    page.handlers["cell_javascript_eval"] = refuse
    return page


def refuse(body: Any) -> Any:
    """Refuse a script in the page."""
    raise RefusedError(f"the user cancelled: {str(body)[:80]}")


def run_cell(page: Page, code: str, limits: Limits) -> Executed:
    """Run a cell: first the imports that it begins with, which are not limited as closely, then the rest."""
    text = ""
    for step in [step for step in split_imports(code) if step.strip()]:
        if has_install_line(step) or "%colabenv" in step:
            limit = limits.install
        else:
            limit = limits.imports if may_take_long(step) else limits.cell
        executed = run_step(page, step, limit)
        text += executed.text
        if executed.status != "ok":
            break
    return Executed(code, executed.status, text, executed.failure)


def run_step(page: Page, code: str, limit: float) -> Executed:
    """Run code and interrupt it when its time is over."""
    try:
        with interrupt_after(page, limit) as interrupted:
            result = page.run(code, timeout=limit + _GRACE)
    except KernelDiedError as error:
        return Executed(code, "lost", str(error))
    except TimeoutError as error:
        return after_stuck_cell(page, code, str(error))
    text = ESCAPES.sub("", result.text)
    if result.status == "dead":
        reconnect(page)
        return Executed(code, "dead", text)
    if interrupted.is_set():
        return Executed(code, "limited", text)
    return Executed(code, result.status, text, failure_of(result))


@contextmanager
def interrupt_after(page: Page, seconds: float) -> Iterator[threading.Event]:
    """Press the stop button if the block takes longer; yields an event that says so."""
    interrupted = threading.Event()

    def interrupt() -> None:
        interrupted.set()
        page.interrupt()

    timer = threading.Timer(seconds, interrupt)
    timer.start()
    try:
        yield interrupted
    finally:
        timer.cancel()
        timer.join()


def after_stuck_cell(page: Page, code: str, text: str) -> Executed:
    """A cell that does not react to the stop button: restart the session, as the user has to."""
    try:
        page.restart_kernel()
    except KernelDiedError:
        page.close()
    return Executed(code, "limited", text)


def reconnect(page: Page) -> None:
    """Connect to the kernel again after it has died; the page does so by itself."""
    try:
        page.reload()
    except KernelDiedError:
        page.close()


def failure_of(result: CellResult) -> Failure | None:
    """The exception of a cell."""
    if result.error is None:
        return None
    return Failure(result.error.ename, result.error.evalue, ESCAPES.sub("", result.error.traceback))


def with_published(executed: Executed, cell: Mapping[str, Any]) -> Executed:
    """Add what the notebook says about the cell's failure: the error in its output and its tags."""
    errors = [
        output
        for output in cell.get("outputs", [])
        if output.get("output_type") in ("error", "pyerr") and output.get("ename")
    ]
    published = Failure(errors[0]["ename"], str(errors[0].get("evalue", "")), "") if errors else None
    may_fail = "raises-exception" in cell.get("metadata", {}).get("tags", [])
    return Executed(executed.code, executed.status, executed.text, executed.failure, published, may_fail)
