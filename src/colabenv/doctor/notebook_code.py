"""Read a notebook without running it: its errors, what it installs, and the names that it uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from colabenv.doctor.code_edits import imported_names, modules_imported_by
from colabenv.doctor.installer_output import read_errors
from colabenv.doctor.model import ErrorReport, InstallRequest, NameUsage
from colabenv.doctor.tracebacks import read_tracebacks
from colabenv.importers import imports, install_commands
from colabenv.importers.cells import extract_python, parse_code
from colabenv.importers.notebook import CellError, Notebook

_VERSION_MAGIC: Final = re.compile(r"^[ \t]*(%tensorflow_version[ \t]+\S+)", re.MULTILINE)


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


def read_name_usages(notebook: Notebook) -> Iterator[NameUsage]:
    """The dotted names, methods and arguments that a notebook's code uses, except inside `try`."""
    aliases: dict[str, str] = {}
    for cell in notebook.code:
        location = f"cell {cell.number}"
        for magic in _VERSION_MAGIC.finditer(cell.source):
            yield NameUsage(" ".join(magic[1].split()), location, magic[1])
        code = extract_python(cell)
        lines = code.split("\n")
        tree = parse_code(code)
        if tree is None:  # not Python 3: the imports, as far as single lines show them
            for each in imports.find_cell_imports(cell):
                line = lines[each.location.line - 1].strip()
                yield from (NameUsage(name, location, line) for name in each.dotted)
            continue
        for node, is_handled in _walk(tree):
            aliases.update(imported_names(node))
            for name in () if is_handled else _names_of(node, aliases):
                yield NameUsage(name, location, lines[getattr(node, "lineno", 1) - 1].strip())


def _walk(tree: ast.Module) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes in the order of the code, each with whether an `except` handles its errors."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, is_handled = pending.pop()
        yield node, is_handled
        handled = set(map(id, node.body)) if isinstance(node, ast.Try) and node.handlers else set()
        children = [(child, is_handled or id(child) in handled) for child in ast.iter_child_nodes(node)]
        if isinstance(node, ast.Attribute):  # of `a.b.c` only the whole counts
            children = [each for each in children if not isinstance(each[0], (ast.Attribute, ast.Name))]
        pending += reversed(children)


def _names_of(node: ast.AST, aliases: dict[str, str]) -> list[str]:
    """The names that a node uses; `aliases` are those that imports have bound so far."""
    modules = modules_imported_by(node)
    if modules is not None:
        return modules
    if isinstance(node, ast.Attribute):
        return [_dotted_name(node, aliases) or f".{node.attr}"]
    if isinstance(node, ast.Call):
        called = _dotted_name(node.func, aliases)
        if not called and isinstance(node.func, ast.Attribute):
            called = f".{node.func.attr}"
        return [f"{called}({keyword.arg}=)" for keyword in node.keywords if keyword.arg and called]
    return []


def _dotted_name(node: ast.expr, aliases: dict[str, str]) -> str:
    """`tensorflow.keras.Model` for `tf.keras.Model`; "" for what no import has bound."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    return ".".join([aliases[node.id], *reversed(parts)])
