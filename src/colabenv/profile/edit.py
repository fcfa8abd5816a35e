"""Edit a profile's text in place, leaving everything else unchanged byte for byte.

Locations come from PyYAML's composer, which recurses and accepts more than a profile may contain, so the text must have
passed `document.parse_document`. Every result is parsed and compared with what was intended; a difference raises
`UneditableError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from colabenv.errors import ProfileError
from colabenv.profile import document

# Requirements and versions that need no quotes in any YAML context.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=!<>~*-]*")
_COMMENT: Final = re.compile(r"#[^\n]*")


class UneditableError(ProfileError):
    """A change that must be made by hand, because the profile is written in a form that cannot be edited safely."""


def add_packages(text: str, items: Sequence[str], comments: Mapping[str, str] | None = None) -> str:
    """Add PEP 508 requirements to `packages` in the style of those that are there; may raise UneditableError.

    `comments` are added to items that have their own line.
    """
    changed, expected = _add_items(text, "packages", items)
    for item, comment in (comments or {}).items():
        changed = _comment_item(changed, item, comment)
    return _check(changed, expected)


def add_source_build(text: str, distribution: str) -> str:
    """Add a distribution to `source_builds`; may raise UneditableError."""
    return _check(*_add_items(text, "source_builds", [distribution]))


def _add_items(text: str, key: str, items: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Add items to the list under a key of the profile; returns the text and what it must mean."""
    top = _compose(text)
    expected = _parse(text)
    expected[key] = [*expected.get(key, []), *items]
    node = _get(top, key)
    if node is None:
        return _add_entry(text, top, key, list(items)), expected
    add = _add_flow_items if node.flow_style else _add_block_items
    return add(text, node, items), expected


def _comment_item(text: str, item: str, comment: str) -> str:
    """Add a comment to the line of a list that has only this item."""
    line = re.search(rf"""^[ \t]*- (["']?){re.escape(item)}\1[ \t]*(?=\r?$)""", text, re.MULTILINE)
    return f"{text[: line.end()]}  # {comment}{text[line.end() :]}" if line else text


def list_packages(text: str) -> list[str]:
    """The items of `packages` as written."""
    return [str(item) for item in _parse(text).get("packages", [])]


def replace_package(text: str, number: int, item: str) -> str:
    """Replace an item of `packages`, keeping its quotes; may raise UneditableError."""
    expected = _parse(text)
    expected["packages"][number] = item
    node = _get(_compose(text), "packages").value[number]
    return _check(_replace(text, node, item), expected)


def set_stack(text: str, key: str, version: str) -> str:
    """Set the version of a framework in `stack`; may raise UneditableError."""
    top, expected = _compose(text), _parse(text)
    expected["stack"] = {**expected.get("stack", {}), key: version}
    stack = _get(top, "stack")
    if stack is None:
        changed = _add_entry(text, top, "stack", {key: version})
    elif (node := _get(stack, key)) is not None:
        changed = _replace(text, node, version)
    else:
        changed = _add_entry(text, stack, key, version)
    return _check(changed, expected)


def pin_requirement(requirement: str, version: str) -> str:
    """Replace the versions of a PEP 508 line by `==version`, keeping name, extras, marker and comment as written."""
    match = re.match(
        r"(\s*[A-Za-z0-9][A-Za-z0-9._-]*(?:\s*\[[^\]]*\])?)[^;#]*?(\s*(?:[;#].*)?)$", requirement
    )
    return f"{match[1]}=={version}{match[2]}" if match else requirement


def _compose(text: str) -> Any:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _get(mapping: Any, key: str) -> Any:
    return next((value for name, value in mapping.value if name.value == key), None)


def _parse(text: str) -> dict[str, Any]:
    top, problems = document.parse_document(text, "the profile")
    if problems:
        raise _uneditable(str(problems[0]))
    return {key: _to_data(value) for key, (_, value) in top.entries.items()}


def _to_data(node: document.Node) -> object:
    if isinstance(node, document.Scalar):
        return node.text
    if isinstance(node, document.Sequence):
        return [_to_data(item) for item in node.items]
    return {key: _to_data(value) for key, (_, value) in node.entries.items()}


def _check(changed: str, expected: dict[str, Any]) -> str:
    try:
        same = _parse(changed) == expected
    except ProfileError:
        same = False
    if not same:
        raise _uneditable("its YAML is written in an unusual form")
    return changed


def _uneditable(reason: str) -> UneditableError:
    return UneditableError(
        f"The profile cannot be edited automatically: {reason}.", hint="Edit the profile by hand."
    )


def _replace(text: str, node: Any, value: str) -> str:
    if node.style in {"|", ">"}:
        raise _uneditable("a value spans several lines")
    return text[: node.start_mark.index] + _scalar(value, node.style) + text[node.end_mark.index :]


def _scalar(value: str, style: str | None) -> str:
    """A value in the quotes (`style`) of its neighbours, None for no quotes."""
    if style is None and _PLAIN.fullmatch(value):
        return value
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value, ensure_ascii=False)


def _style(node: Any) -> str | None:
    return node.value[-1].style if node.value else '"'


def _add_flow_items(text: str, node: Any, items: Sequence[str]) -> str:
    """Add items to a `[…]`: on the last line, or on their own lines if the bracket closes on another line."""
    written = [_scalar(item, _style(node)) for item in items]
    if not node.value:
        at = node.start_mark.index + 1
        return text[:at] + ", ".join(written) + text[at:]
    last = node.value[-1]
    at, close = last.end_mark.index, node.end_mark.index - 1
    in_lines = last.start_mark.line > node.start_mark.line and node.end_mark.line > last.end_mark.line
    if not in_lines:
        return text[:at] + "".join(f", {item}" for item in written) + text[at:]
    comma = "," in _COMMENT.sub("", text[at:close])
    end, line = _line_end(text, at)
    indent: str = " " * last.start_mark.column
    lines = f",{line}{indent}".join(written) + ("," if comma else "")
    return text[:at] + ("" if comma else ",") + text[at:end] + line + indent + lines + text[end:]


def _add_block_items(text: str, node: Any, items: Sequence[str]) -> str:
    """Add `- …` lines to a list."""
    indent = " " * node.start_mark.column
    return _add_lines(text, node, [f"{indent}- {_scalar(item, _style(node))}" for item in items])


def _add_entry(text: str, mapping: Any, key: str, value: Any) -> str:
    """Add a key to the end of a mapping."""
    if mapping.flow_style:
        entry = f"{key}: {json.dumps(value, ensure_ascii=False)}"
        if not mapping.value:
            at = mapping.start_mark.index + 1
            return text[:at] + entry + text[at:]
        at = mapping.value[-1][1].end_mark.index
        return f"{text[:at]}, {entry}{text[at:]}"
    indent = " " * mapping.start_mark.column
    if isinstance(value, str):
        return _add_lines(text, mapping, [f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"])
    inner = [f"- {json.dumps(item)}" for item in value] if isinstance(value, list) else []
    if isinstance(value, dict):
        inner = [f"{name}: {json.dumps(item)}" for name, item in value.items()]
    return _add_lines(text, mapping, [f"{indent}{key}:", *(f"{indent}  {line}" for line in inner)])


def _add_lines(text: str, node: Any, lines: Sequence[str]) -> str:
    """Add lines after a block, before the comments that follow it; the block's own end mark is after them."""
    leaf = node
    while not isinstance(leaf, yaml.ScalarNode) and leaf.value and not leaf.flow_style:
        leaf = leaf.value[-1][1] if isinstance(leaf, yaml.MappingNode) else leaf.value[-1]
    at = leaf.end_mark.index
    if getattr(leaf, "style", None) in {"|", ">"} and text[at - 1 : at] == "\n":
        line = "\r\n" if text[at - 2 : at] == "\r\n" else "\n"
        return text[:at] + line.join(lines) + line + text[at:]
    end, line = _line_end(text, at)
    return text[:end] + line + line.join(lines) + text[end:]


def _line_end(text: str, at: int) -> tuple[int, str]:
    """The end of the line that contains the character at `at`, and the document's line ending."""
    end = text.find("\n", at)
    line = "\r\n" if "\r\n" in text else "\n"
    if end < 0:
        return len(text), line
    return (end - 1 if text[end - 1] == "\r" and end - 1 >= at else end), line
