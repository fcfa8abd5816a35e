"""A line of code with other names in it: what a person has to type instead. Pure."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Final

#: What people call these by, where the line itself does not say.
USUAL: Final = {"tf": "tensorflow", "np": "numpy"}
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")

#: What a dotted name is called now; "" for one that stays as it is.
Becomes = Callable[[str], str]


def rewritten(line: str, becomes: Becomes, known: Mapping[str, str] = USUAL) -> str:
    """The line with today's names; the line itself where nothing in it changes.

    Args:
        line: one line of code, which may hold several statements.
        becomes: see there.
        known: names that the code knows modules by, to the modules.
    """
    tree = _tree(line.strip())
    if tree is None:
        return _expression(line.strip(), becomes, {**USUAL, **known})
    names = {**USUAL, **known}
    parts = []
    changed = False
    for node in tree.body:
        text = ast.get_source_segment(line.strip(), node) or ""
        names.update(bound_by(node))
        new = _statement(node, text, becomes, names)
        changed = changed or new != text
        parts.append(new)
    return "; ".join(parts) if changed else line.strip()


def bound_by(node: ast.AST) -> dict[str, str]:
    """The names that an import binds, to the dotted names they stand for."""
    if isinstance(node, ast.Import):
        return {
            one.asname or one.name.partition(".")[0]: one.name if one.asname else one.name.partition(".")[0]
            for one in node.names
        }
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names if one.name != "*"}
    return {}


def bound_in(line: str) -> dict[str, str]:
    """The names that a line of code binds by importing, to the dotted names they stand for."""
    tree = _tree(line.strip()) if "import" in line else None
    return {name: module for node in tree.body for name, module in bound_by(node).items()} if tree else {}


def dotted_in(line: str, known: Mapping[str, str] = USUAL) -> list[str]:
    """The dotted names that a line takes, in full: `a.b.c` for `from a.b import c`, `tensorflow.x` for `tf.x`."""
    tree = _tree(line.strip())
    names = {**USUAL, **known, **bound_in(line)}
    found: list[str] = []
    texts = [] if tree else [line]
    for node in tree.body if tree else ():
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module if one.name == "*" else f"{node.module}.{one.name}" for one in node.names]
        elif isinstance(node, ast.Import):
            found += [one.name for one in node.names]
        else:
            texts.append(ast.get_source_segment(line.strip(), node) or "")
    for dotted in (one for text in texts for one in _DOTTED.findall(text)):
        root, _, rest = dotted.partition(".")
        found.append(f"{names.get(root, root)}.{rest}")
    return list(dict.fromkeys(found))


def _tree(line: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(line)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _statement(node: ast.stmt, text: str, becomes: Becomes, names: Mapping[str, str]) -> str:
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return _import_from(node.module, node.names, text, becomes)
    if isinstance(node, ast.Import):
        return _import(node.names, text, becomes)
    return _expression(text, becomes, names)


def _import_from(module: str, names: list[ast.alias], text: str, becomes: Becomes) -> str:
    """`from a.b import c` with each name under where it is now, those of one module in one import."""
    places: dict[str, list[str]] = {}
    changed = False
    for one in names:
        if one.name == "*":
            place, leaf = becomes(module) or module, "*"
        else:
            new = becomes(f"{module}.{one.name}")
            place, _, leaf = (new or f"{module}.{one.name}").rpartition(".")
        changed = changed or place != module or leaf != one.name
        known = one.asname or one.name
        places.setdefault(place, []).append(leaf if leaf == known else f"{leaf} as {known}")
    if not changed:
        return text
    return "; ".join(
        f"from {place} import {', '.join(leaves)}" if place else f"import {', '.join(leaves)}"
        for place, leaves in places.items()
    )


def _import(names: list[ast.alias], text: str, becomes: Becomes) -> str:
    parts = []
    for one in names:
        new = becomes(one.name) or one.name
        if one.asname:
            parts.append(f"{new} as {one.asname}")
        elif new.partition(".")[0] == one.name.partition(".")[0]:
            parts.append(new)
        else:  # the code goes on to use the old top
            top, dot, _ = one.name.partition(".")
            parts.append(new if dot else f"{new} as {top}")
    whole = f"import {', '.join(parts)}"
    return whole if parts != [ast.unparse(one) for one in names] else text


def _expression(text: str, becomes: Becomes, names: Mapping[str, str]) -> str:
    """Text with dotted names replaced, written by the names that the code knows modules by."""
    needed: set[str] = set()

    def replace(found: re.Match[str]) -> str:
        root, _, rest = found[0].partition(".")
        module = names.get(root, root)
        parts = rest.split(".")
        # What follows the name itself is an attribute of it, so the longest beginning that has changed counts.
        for count in range(len(parts), 0, -1):
            old = ".".join([module, *parts[:count]])
            if new := becomes(old):
                return ".".join([_written(new, root, module, names, needed), *parts[count:]])
        return found[0]

    new = _DOTTED.sub(replace, text)
    imports = "".join(f"import {one}; " for one in sorted(needed))
    return imports + new


def _written(new: str, root: str, module: str, names: Mapping[str, str], needed: set[str]) -> str:
    """A name as this code can write it; what it would have to import first goes to `needed`."""
    if new == module or new.startswith(module + "."):
        return root + new[len(module) :]
    if "." not in new:
        return new
    top = new.partition(".")[0]
    shorter = [
        known for known, stands in names.items() if stands == top and (known not in USUAL or known == root)
    ]
    if shorter:
        return shorter[0] + new[len(top) :]
    needed.add(new.rpartition(".")[0])
    return new
