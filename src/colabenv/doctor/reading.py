"""What people hand to the doctor: the text of a failure, or a notebook. Pure; nothing is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from colabenv.doctor import tracebacks
from colabenv.doctor.installers import refusals_in
from colabenv.doctor.model import Asked, Complaint, Usage
from colabenv.doctor.rewriting import bound_by
from colabenv.importers import imports, install_commands
from colabenv.importers.cells import extract_python, parse_code
from colabenv.importers.notebook import Cell, CellError, Notebook

_VERSION_MAGIC: Final = re.compile(r"^[ \t]*(%tensorflow_version[ \t]+\S+)", re.MULTILINE)


def complaints_in(text: str, source: str, *, here: bool = True) -> tuple[Complaint, ...]:
    """The exceptions in a text, and what pip and uv could not install.

    Args:
        text: a traceback, or the output of a cell or of an installer.
        source: as `Complaint.source`.
        here: as `Complaint.here`.
    """
    short = tracebacks.shortened(text)
    raised = tuple(tracebacks.complaints_in(short, source, here=here))
    return (*raised, *refusals_in(short, f"{source}, installing" if raised else source, here=here))


def complaints_of(notebook: Notebook) -> Iterator[Complaint]:
    """What failed in a notebook's cells: exceptions, and installers in their output. None of it is known to be here."""
    for cell in notebook.code:
        location = f"cell {cell.number}"
        if cell.output:
            yield from complaints_in(cell.output, f"what {location} printed", here=False)
        if cell.failure is not None and cell.failure.name != "KeyboardInterrupt":
            yield _raised(cell.failure, location)


def _raised(failure: CellError, location: str) -> Complaint:
    """A cell's exception. The notebook names class and message; the traceback may be cut off."""
    found = tuple(tracebacks.complaints_in(failure.traceback, location, here=False))
    last = found[-1] if found else Complaint(location, "", "Exception", "", text=failure.traceback)
    return replace(
        last,
        source=location,
        kind=failure.name.rpartition(".")[2] or last.kind,
        message=failure.value or last.message,
        text=last.text or f"{failure.name}: {failure.value}",
        here=False,
    )


def asked_of(notebook: Notebook) -> Iterator[Asked]:
    """The requirements that a notebook installs, each with what was imported before it."""
    imported = [
        (one.location.cell, one.location.line, one.top)
        for one in imports.find_imports(notebook)
        if not one.optional
    ]
    for install in install_commands.find_installs(notebook):
        at = (install.location.cell, install.location.line)
        before = frozenset(top for cell, line, top in imported if (cell, line) < at)
        for wanted in install.targets:
            if wanted.kind == "package":
                yield Asked(wanted.text, str(install.location), install.text, install.tool, before)


def usages_of(notebook: Notebook) -> Iterator[Usage]:
    """The dotted names, methods and arguments that a notebook's code uses; what it only tries is left out."""
    known: dict[str, str] = {}
    for cell in notebook.code:
        for found in _VERSION_MAGIC.finditer(cell.source):
            yield Usage(" ".join(found[1].split()), f"cell {cell.number}", found[1])
        tree = parse_code(extract_python(cell))
        if tree is None:
            yield from _of_imports(cell)
            continue
        lines = extract_python(cell).split("\n")
        for node, tried in _nodes(tree):
            known.update(bound_by(node))
            for name in () if tried else _names(node, known):
                line = lines[getattr(node, "lineno", 1) - 1].strip()
                yield Usage(name, f"cell {cell.number}", line)


def _of_imports(cell: Cell) -> Iterator[Usage]:
    """Of a cell that is no Python 3: its imports, as far as its lines show them."""
    lines = extract_python(cell).split("\n")
    for one in imports.find_cell_imports(cell):
        for name in one.dotted:
            yield Usage(name, f"cell {cell.number}", lines[one.location.line - 1].strip())


def _nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes in the order of the code, each with whether an `except` catches what goes wrong in it."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, tried = waiting.pop()
        yield node, tried
        caught = {id(one) for one in node.body} if isinstance(node, ast.Try) and node.handlers else set()
        children = [(one, tried or id(one) in caught) for one in ast.iter_child_nodes(node)]
        # Of `a.b.c` the whole counts, not `a.b` as well.
        if isinstance(node, ast.Attribute):
            children = [
                (one, inner) for one, inner in children if not isinstance(one, (ast.Attribute, ast.Name))
            ]
        waiting += reversed(children)


def _names(node: ast.AST, known: dict[str, str]) -> list[str]:
    """What one node says about names; `known` are those that imports have bound so far."""
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module if one.name == "*" else f"{node.module}.{one.name}" for one in node.names]
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.Attribute):
        whole = _dotted(node, known)
        return [whole] if whole else [f".{node.attr}"]
    if isinstance(node, ast.Call):
        called = _dotted(node.func, known)
        method = f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else ""
        return [f"{called or method}({one.arg}=)" for one in node.keywords if one.arg and (called or method)]
    return []


def _dotted(node: ast.expr, known: dict[str, str]) -> str:
    """`tensorflow.keras.Model` for `tf.keras.Model`; "" for what no import has bound."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in known:
        return ""
    return ".".join([known[node.id], *reversed(parts)])
