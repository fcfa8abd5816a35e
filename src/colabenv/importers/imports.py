"""What a notebook imports. Pure; nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from colabenv.importers.cells import Place, python_of, tree_of
from colabenv.importers.notebook import Cell, Notebook

# For cells that do not parse: Python 2, or cut off in the middle.
_IMPORT: Final = re.compile(r"^[ \t]*import[ \t]+([A-Za-z_][\w., \t]*)", re.MULTILINE)
_FROM: Final = re.compile(
    r"^[ \t]*from[ \t]+([A-Za-z_][\w.]*)[ \t]+import[ \t]+\(?([\w, \t*]*)", re.MULTILINE
)


@dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
        module: full dotted name: `tensorflow.keras` for `import tensorflow.keras`, and `tensorflow` for
            `from tensorflow import keras`.
        names: what is taken from it, `("keras",)`; empty for `import module`.
        alias: the name that the cell knows it by, `tf`; of `import a.b` it is `a`, of `from …` "".
        place: where.
        optional: whether the code goes on where it is missing: it stands in a `try`.
    """

    module: str
    names: tuple[str, ...]
    alias: str
    place: Place
    optional: bool = False

    @property
    def top(self) -> str:
        """The outermost package, `tensorflow`."""
        return self.module.partition(".")[0]

    @property
    def dotted(self) -> tuple[str, ...]:
        """Every dotted name that is asked for: `tensorflow.keras` for `from tensorflow import keras`."""
        return tuple(f"{self.module}.{name}" for name in self.names if name != "*") or (self.module,)


def imports(notebook: Notebook) -> list[Import]:
    """The imports of all cells, in order; relative ones and `__future__` are none."""
    return [one for cell in notebook.code for one in of_cell(cell)]


def of_cell(cell: Cell) -> list[Import]:
    """The imports of one cell; of one that is no Python 3, as far as its lines show them."""
    code = python_of(cell)
    tree = tree_of(code)
    found = list(_of_tree(tree, cell.number)) if tree is not None else list(_of_text(code, cell.number))
    return sorted((one for one in found if one.top != "__future__"), key=lambda one: one.place.line)


def _of_tree(tree: ast.Module, cell: int) -> Iterator[Import]:
    tried = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and node.handlers
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known = alias.asname or alias.name.partition(".")[0]
                yield Import(alias.name, (), known, Place(cell, node.lineno), id(node) in tried)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = tuple(alias.name for alias in node.names)
            yield Import(node.module, names, "", Place(cell, node.lineno), id(node) in tried)


def _of_text(code: str, cell: int) -> Iterator[Import]:
    for found in _IMPORT.finditer(code):
        line = code.count("\n", 0, found.start()) + 1
        for part in found[1].split(","):
            words = part.split()
            if words and re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", words[0]):
                alias = words[2] if len(words) == 3 and words[1] == "as" else words[0].partition(".")[0]
                yield Import(words[0], (), alias, Place(cell, line))
    for found in _FROM.finditer(code):
        line = code.count("\n", 0, found.start()) + 1
        names = tuple(words[0] for part in found[2].split(",") if (words := part.split()))
        yield Import(found[1].rstrip("."), names, "", Place(cell, line))
