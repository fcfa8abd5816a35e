"""Rewrite a line of code with new names, as a person has to type it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Final

from colabenv.importers.name_usages import imported_names, modules_imported_by

#: Usual aliases, for lines that do not show the import.
USUAL_ALIASES: Final = {"tf": "tensorflow", "np": "numpy"}
_DOTTED = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")

#: The new name of a dotted name; "" if it stays.
NewName = Callable[[str], str]


def replace_names(line: str, new_name: NewName, aliases: Mapping[str, str] = USUAL_ALIASES) -> str:
    """The line with new names, or the line itself if nothing changes; `aliases` are the code's names for modules."""
    line = line.strip()
    names = {**USUAL_ALIASES, **aliases}
    tree = _parse(line)
    if tree is None:
        return _replace_in_expression(line, new_name, names)
    old, new = [], []
    for node in tree.body:
        text = ast.get_source_segment(line, node) or ""
        names.update(imported_names(node))
        old.append(text)
        new.append(_replace_in_statement(node, text, new_name, names))
    return "; ".join(new) if new != old else line


def names_imported_in(line: str) -> dict[str, str]:
    """The names that a line of code binds by importing, and the dotted names that they stand for."""
    tree = _parse(line.strip()) if "import" in line else None
    names: dict[str, str] = {}
    for node in tree.body if tree else ():
        names.update(imported_names(node))
    return names


def dotted_names_in(line: str) -> list[str]:
    """The full dotted names in a line: `a.b.c` for `from a.b import c`, `tensorflow.x` for `tf.x`."""
    line = line.strip()
    tree = _parse(line)
    aliases = {**USUAL_ALIASES, **names_imported_in(line)}
    names: list[str] = []
    texts = [] if tree else [line]
    for node in tree.body if tree else ():
        modules = modules_imported_by(node)
        names += modules or ()
        texts += [ast.get_source_segment(line, node) or ""] if modules is None else []
    for root, _, rest in (name.partition(".") for text in texts for name in _DOTTED.findall(text)):
        names.append(f"{aliases.get(root, root)}.{rest}")
    return list(dict.fromkeys(names))


def _parse(line: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(line)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _replace_in_statement(node: ast.stmt, text: str, new_name: NewName, names: Mapping[str, str]) -> str:
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return _replace_in_import_from(node.module, node.names, text, new_name)
    if isinstance(node, ast.Import):
        return _replace_in_import(node.names, text, new_name)
    return _replace_in_expression(text, new_name, names)


def _replace_in_import_from(module: str, names: list[ast.alias], text: str, new_name: NewName) -> str:
    """`from a.b import c` with each name from its new module, one import for each module."""
    imports: dict[str, list[str]] = {}
    changed = False
    for alias in names:
        if alias.name == "*":
            source, leaf = new_name(module) or module, "*"
        else:
            new = new_name(f"{module}.{alias.name}") or f"{module}.{alias.name}"
            source, _, leaf = new.rpartition(".")
        changed = changed or source != module or leaf != alias.name
        bound = alias.asname or alias.name
        imports.setdefault(source, []).append(leaf if leaf == bound else f"{leaf} as {bound}")
    if not changed:
        return text
    prefixes = {source: f"from {source} " if source else "" for source in imports}
    return "; ".join(f"{prefixes[source]}import {', '.join(leaves)}" for source, leaves in imports.items())


def _replace_in_import(names: list[ast.alias], text: str, new_name: NewName) -> str:
    parts = []
    for alias in names:
        new = new_name(alias.name) or alias.name
        top, dot, _ = alias.name.partition(".")
        if alias.asname:
            parts.append(f"{new} as {alias.asname}")
        elif new.partition(".")[0] == top or dot:
            parts.append(new)
        else:  # the rest of the code uses the old name
            parts.append(f"{new} as {top}")
    return f"import {', '.join(parts)}" if parts != [ast.unparse(alias) for alias in names] else text


def _replace_in_expression(text: str, new_name: NewName, names: Mapping[str, str]) -> str:
    """Text with dotted names replaced, written with the code's own names for modules."""
    needed: set[str] = set()

    def replace(match: re.Match[str]) -> str:
        root, _, rest = match[0].partition(".")
        module = names.get(root, root)
        parts = rest.split(".")
        # What follows a name is an attribute of it, so the longest beginning that has changed counts.
        for count in range(len(parts), 0, -1):
            if new := new_name(".".join([module, *parts[:count]])):
                return ".".join([_write_name(new, root, module, names, needed), *parts[count:]])
        return match[0]

    new = _DOTTED.sub(replace, text)
    return "".join(f"import {module}; " for module in sorted(needed)) + new


def _write_name(new: str, root: str, module: str, names: Mapping[str, str], needed: set[str]) -> str:
    """A name as this code can write it; a module that it has to import first is added to `needed`."""
    if new == module or new.startswith(module + "."):
        return root + new[len(module) :]
    top, dot, _ = new.partition(".")
    if not dot:
        return new
    for name, known in names.items():
        if known == top and (name not in USUAL_ALIASES or name == root):
            return name + new[len(top) :]
    needed.add(new.rpartition(".")[0])
    return new
