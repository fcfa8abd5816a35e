"""Find the imports of a notebook without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from colabenv.importers.cells import CellLocation, extract_python, parse_code
from colabenv.importers.notebook import Cell, Notebook

# For cells that do not parse, such as Python 2.
_IMPORT: Final = re.compile(r"^[ \t]*import[ \t]+([A-Za-z_][\w., \t]*)", re.MULTILINE)
_FROM: Final = re.compile(
    r"^[ \t]*from[ \t]+([A-Za-z_][\w.]*)[ \t]+import[ \t]+\(?([\w, \t*]*)", re.MULTILINE
)


@dataclass(frozen=True)
class Import:
    """An imported module."""

    module: str  #: its dotted name, `tensorflow` for `from tensorflow import keras`
    names: tuple[str, ...]  #: the names imported from it, `("keras",)`
    alias: str  #: its name in the cell, `tf`; `a` for `import a.b`, "" for `from …`
    location: CellLocation  #: where it is imported
    optional: bool = False  #: the import is in a `try`

    @property
    def top(self) -> str:
        """The outermost package, `tensorflow`."""
        return self.module.partition(".")[0]

    @property
    def dotted(self) -> tuple[str, ...]:
        """Every dotted name it may import: `tensorflow.keras` for `from tensorflow import keras`."""
        return tuple(f"{self.module}.{name}" for name in self.names if name != "*") or (self.module,)


def find_imports(notebook: Notebook) -> list[Import]:
    """The imports of all cells, in order, without relative ones and `__future__`."""
    return [item for cell in notebook.code for item in find_cell_imports(cell)]


def find_cell_imports(cell: Cell) -> list[Import]:
    """The imports of a cell; line by line if it is not Python 3."""
    code = extract_python(cell)
    tree = parse_code(code)
    items = _parse_imports(tree, cell.number) if tree is not None else _match_imports(code, cell.number)
    return sorted((item for item in items if item.top != "__future__"), key=lambda item: item.location.line)


def _parse_imports(tree: ast.Module, cell: int) -> Iterator[Import]:
    in_try = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try) and node.handlers
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                yield Import(alias.name, (), name, CellLocation(cell, node.lineno), id(node) in in_try)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = tuple(alias.name for alias in node.names)
            yield Import(node.module, names, "", CellLocation(cell, node.lineno), id(node) in in_try)


def _match_imports(code: str, cell: int) -> Iterator[Import]:
    for match in _IMPORT.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        for part in match[1].split(","):
            words = part.split()
            if words and re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", words[0]):
                alias = words[2] if len(words) == 3 and words[1] == "as" else words[0].partition(".")[0]
                yield Import(words[0], (), alias, CellLocation(cell, line))
    for match in _FROM.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        names = tuple(words[0] for part in match[2].split(",") if (words := part.split()))
        yield Import(match[1].rstrip("."), names, "", CellLocation(cell, line))
