"""The names that a notebook's code uses, read without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from colabenv.importers.cells import extract_python, parse_code
from colabenv.importers.notebook import Notebook

_VERSION_MAGIC: Final = re.compile(r"^[ \t]*(%tensorflow_version[ \t]+\S+)", re.MULTILINE)


@dataclass(frozen=True)
class NameUsage:
    """A name that code imports or uses.

    `name` is dotted, such as "keras.utils.np_utils"; a method is ".predict_classes", an argument
    "keras.optimizers.Adam(lr=)", a magic "%tensorflow_version 1.x".
    """

    name: str
    location: str  #: for people: "cell 3"
    line: str  #: the source line

    @property
    def evidence(self) -> str:
        """The line and where it is."""
        return f"{self.location}: {self.line.strip()}"


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
        if tree is not None:
            yield from _read_tree(tree, lines, location, aliases)
            continue
        for line in lines:  # not Python 3: as far as single lines are
            if statement := parse_code(line.strip()):
                yield from _read_tree(statement, [line], location, aliases)


def _read_tree(
    tree: ast.Module, lines: list[str], location: str, aliases: dict[str, str]
) -> Iterator[NameUsage]:
    """The names in a syntax tree of `lines`; adds those that imports bind to `aliases`."""
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


def imported_names(node: ast.AST) -> dict[str, str]:
    """The names that an import binds, and the dotted names that they stand for."""
    if isinstance(node, ast.Import):
        tops = [alias.name.partition(".")[0] for alias in node.names if not alias.asname]
        return {**dict(zip(tops, tops, strict=True)), **{a.asname: a.name for a in node.names if a.asname}}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [alias for alias in node.names if alias.name != "*"]
        return {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in names}
    return {}


def modules_imported_by(node: ast.AST) -> list[str] | None:
    """The dotted names that an import takes: `a.b.c` for `from a.b import c`; None for other nodes."""
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module if each.name == "*" else f"{node.module}.{each.name}" for each in node.names]
    return [each.name for each in node.names] if isinstance(node, ast.Import) else None
