"""The code cells of a notebook: what a cell defines, imports and installs, and how it is run in steps. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

#: Shell lines and magics become a statement that keeps their place.
_SPECIAL = re.compile(r"^(?P<indent>[ \t]*)(?:(?P<target>[\w, ]+)=\s*)?[!%](?:.*\\\n)*.*$", re.MULTILINE)
_HELP = re.compile(r"^\s*\??\??[\w.]+\??\?\s*$", re.MULTILINE)
#: What Python 2 or Python 3.6 accepts, and a newer one does not.
_OLD_SYNTAX = re.compile(
    r"^\s*(?:print|exec)\s+[^\s(=]|^\s*(?:print|exec)\s*\(.*\)\s*%|\bexcept\s+[\w.]+\s*,|\braise\s+\w+\s*,|<>|`|\basync\b"
    r"|\b0\d+\b|\blambda\s*\(|^\t| \t",
    re.MULTILINE,
)
_INSTALL = re.compile(
    r"^\s*[!%][^\n]*\b(?:pip3?|conda|mamba|apt|apt-get|easy_install|uv|poetry)\b[^\n]*\b(?:install|add|sync)\b"
    r"|^\s*%%(?:bash|shell|sh)\b.*\binstall\b|subprocess[^\n]*\binstall\b",
    re.MULTILINE | re.DOTALL,
)
_SHELL = re.compile(
    r"^\s*(?:[\w, ]+=\s*)?!|^\s*%%?(?:bash|shell|sh|script|run|system|sx|pip|conda)\b|subprocess|os\.system",
    re.M,
)
_SLOW = re.compile(
    r"\bimport\b|^\s*(?:[\w, ]+=\s*)?!|^\s*%%?(?:bash|shell|sh|script|run|pip|conda)\b"
    r"|^\s*%(?:tensorflow_version|load_ext|colabenv)\b",
    re.MULTILINE,
)


def has_install_line(code: str) -> bool:
    """Whether the cell installs something."""
    return _INSTALL.search(code) is not None


def has_shell_line(code: str) -> bool:
    """Whether the cell runs programs."""
    return _SHELL.search(code) is not None


def may_take_long(code: str) -> bool:
    """Whether the time of the code must not be limited closely: it imports modules or runs programs."""
    return _SLOW.search(code) is not None


def to_python(code: str) -> str:
    """The cell as Python of the same lines; shell lines and magics become assignments or `pass`."""
    if code.lstrip().startswith("%%"):
        first, _, rest = code.lstrip().partition("\n")
        return "\n" + to_python(rest) if re.match(r"%%(?:time|timeit|capture|prun)\b", first) else ""

    def blank(match: re.Match[str]) -> str:
        target = (match["target"] or "").strip()
        statement = f"{target} = None" if target else "pass"
        return match["indent"] + statement + "\n" * match[0].count("\n")

    return _HELP.sub("pass", _SPECIAL.sub(blank, code))


@lru_cache(maxsize=4096)
def parse(code: str) -> ast.Module | None:
    """The syntax tree of a cell, or None if it is not Python 3."""
    try:
        return ast.parse(to_python(code))
    except (SyntaxError, ValueError):
        return None


def is_no_python(code: str) -> bool:
    """Whether no Python accepts the cell, such as an exercise with a gap to fill in."""
    return parse(code) is None and _OLD_SYNTAX.search(code) is None


@lru_cache(maxsize=4096)
def defined_names(code: str) -> frozenset[str]:
    """The names that a cell defines at its top level, in loops and branches too."""
    tree = parse(code)
    return frozenset() if tree is None else frozenset(_names(tree))


@lru_cache(maxsize=4096)
def used_names(code: str) -> frozenset[str]:
    """The names that a cell uses, except those that it defines."""
    tree = parse(code)
    if tree is None:
        return frozenset()
    loads = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return frozenset(loads - defined_names(code))


def _names(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child.name
            continue
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif isinstance(child, ast.alias):
            yield child.asname or child.name.partition(".")[0]
        yield from _names(child)


def split_imports(code: str) -> tuple[str, str]:
    """Split a cell after the imports and shell lines that it begins with: they and the rest; either may be empty.

    The rest can be limited in time, while an import and an installation never are. A cell that is no Python, or
    has no such statements, is not split.
    """
    tree = parse(code)
    if tree is None or code.lstrip().startswith("%%"):
        return "", code
    end = 0
    lines = code.splitlines(keepends=True)
    for statement in tree.body:
        if not _is_preparation(statement):
            break
        end = statement.end_lineno or statement.lineno
    leading, rest = "".join(lines[:end]), "".join(lines[end:])
    if not may_take_long(leading) or parse(leading) is None or not rest.strip():
        return "", code
    return leading, rest


def _is_preparation(statement: ast.stmt) -> bool:
    """Whether a statement imports, sets a variable of the process, or was a shell line or magic."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(statement, ast.Try):
        return any(isinstance(inner, ast.Import | ast.ImportFrom | ast.Pass) for inner in statement.body)
    if isinstance(statement, ast.Assign):
        return isinstance(statement.value, ast.Constant)
    # A docstring; a setting such as `os.environ[…] = …` has a constant value too.
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
