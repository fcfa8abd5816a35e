"""Texts that a notebook's code gives names to, such as `TF_VERSION = "2.8.0"`."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Final

from colabenv.importers.cells import evaluate_text, extract_python, parse_code
from colabenv.importers.notebook import Cell

#: Characters of the longest text that is kept.
_MAX_TEXT: Final = 500
_ENV_MAGIC: Final = re.compile(
    r"^[ \t]*%(?:env|set_env)[ \t]+(\w+)[ \t]*[= \t][ \t]*(\S+)[ \t]*$", re.MULTILINE
)
_SHELL: Final = re.compile(
    r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(['\"]?)([\w.+-]+)\2[ \t]*$", re.MULTILINE
)
_REFERENCE: Final = re.compile(r"\$\{(\w+)\}|\{(\w+)\}|\$(\w+)")


def find_assignments(cell: Cell, known: Mapping[str, str]) -> dict[str, str]:
    """The names that a cell gives a text, after those that are `known` from the cells above it."""
    names = dict(known)
    names.update(_ENV_MAGIC.findall(cell.source))
    if re.match(r"\s*%%(bash|sh|shell)\b", cell.source):
        names.update((name, value) for name, _, value in _SHELL.findall(cell.source))
    tree = parse_code(extract_python(cell))
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            text = evaluate_text(node.value, names)
            if text is not None and (name := _target_name(node.targets[0])):
                names[name] = text[:_MAX_TEXT]
    return names


def _target_name(target: ast.expr) -> str:
    """`X` for `X = …` and for `os.environ["X"] = …`; "" for other targets."""
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith("environ"):
        key = target.slice
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
    return ""


def expand_references(text: str, names: Mapping[str, str]) -> str:
    """A shell command with `{NAME}`, `$NAME` and `${NAME}` replaced where the name is known."""
    return _REFERENCE.sub(lambda match: names.get(match[1] or match[2] or match[3], match[0]), text)
