"""Small changes to a profile's text that leave all else byte for byte. Pure.

Where things stand comes from PyYAML's composer, whose marks count characters. It recurses and takes more YAML than a
profile may hold, so the text has to have passed `document.parse` before. The result is read again and compared: what a
change did beside what it should is refused, and then a person has to make it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from colabenv.errors import ProfileError
from colabenv.profile import document

# A requirement or a version that is the same text in every YAML context without quotes.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=!<>~*-]*")
_COMMENT: Final = re.compile(r"#[^\n]*")


class UneditableError(ProfileError):
    """A change that has to be made by hand."""


def add_packages(text: str, items: Sequence[str]) -> str:
    """The profile with further `packages`, in the style of those that it has.

    Args:
        text: the profile.
        items: PEP 508 requirements.

    Raises:
        UneditableError: its form is one that this cannot change safely.
    """
    top = _top(text)
    wanted = _data(text)
    wanted["packages"] = [*wanted.get("packages", []), *items]
    packages = _value(top, "packages")
    if packages is None:
        changed = _with_entry(text, top, "packages", list(items))
    elif packages.flow_style:
        changed = _into_flow(text, packages, items)
    else:
        changed = _into_block(text, packages, items)
    return _checked(changed, wanted)


def packages(text: str) -> list[str]:
    """The items of `packages` as they are written, in order."""
    return [str(item) for item in _data(text).get("packages", [])]


def replace_package(text: str, number: int, item: str) -> str:
    """The profile with another item at a place of `packages`, in the quotes of the one that was there.

    Raises:
        UneditableError: its form is one that this cannot change safely.
    """
    wanted = _data(text)
    wanted["packages"][number] = item
    node = _value(_top(text), "packages").value[number]
    return _checked(_in_place(text, node, item), wanted)


def set_stack(text: str, key: str, version: str) -> str:
    """The profile with a version in its `stack`.

    Raises:
        UneditableError: its form is one that this cannot change safely.
    """
    top, wanted = _top(text), _data(text)
    wanted["stack"] = {**wanted.get("stack", {}), key: version}
    stack = _value(top, "stack")
    if stack is None:
        changed = _with_entry(text, top, "stack", {key: version})
    elif (node := _value(stack, key)) is not None:
        changed = _in_place(text, node, version)
    else:
        changed = _with_entry(text, stack, key, version)
    return _checked(changed, wanted)


def respecified(requirement: str, version: str) -> str:
    """A requirement with an exact version for its versions; name, extras and condition stay as they are written.

    Args:
        requirement: a PEP 508 line, also with a comment behind it.
        version: PEP 440.
    """
    found = re.match(
        r"(\s*[A-Za-z0-9][A-Za-z0-9._-]*(?:\s*\[[^\]]*\])?)[^;#]*?(\s*(?:[;#].*)?)$", requirement
    )
    return f"{found[1]}=={version}{found[2]}" if found else requirement


def _top(text: str) -> Any:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _value(mapping: Any, key: str) -> Any:
    return next((value for name, value in mapping.value if name.value == key), None)


def _data(text: str) -> dict[str, Any]:
    top, problems = document.parse(text, "the profile")
    if problems:
        raise _uneditable(str(problems[0].message))
    plain = _plain(top)
    assert isinstance(plain, dict)  # noqa: S101 - document.parse gives a mapping
    return plain


def _plain(node: document.Node) -> object:
    if isinstance(node, document.Text):
        return node.text
    if isinstance(node, document.Sequence):
        return [_plain(item) for item in node.items]
    return {key: _plain(value) for key, (_, value) in node.entries.items()}


def _checked(changed: str, wanted: dict[str, Any]) -> str:
    try:
        same = _data(changed) == wanted
    except ProfileError:
        same = False
    if not same:
        raise _uneditable("its form")
    return changed


def _uneditable(why: str) -> UneditableError:
    return UneditableError(f"The profile cannot be changed without a person, because of {why}.")


def _in_place(text: str, node: Any, value: str) -> str:
    if node.style in {"|", ">"}:
        raise _uneditable("a text in several lines")
    return text[: node.start_mark.index] + _scalar(value, node.style) + text[node.end_mark.index :]


def _scalar(value: str, style: str | None) -> str:
    """A value in the quotes of its neighbours: `style` is theirs, None for no quotes."""
    if style is None and _PLAIN.fullmatch(value):
        return value
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value, ensure_ascii=False)


def _style(node: Any) -> str | None:
    return node.value[-1].style if node.value else '"'


def _into_flow(text: str, node: Any, items: Sequence[str]) -> str:
    """Items behind the last of a `[…]`: on its line, or on lines of their own where the bracket closes on another."""
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


def _into_block(text: str, node: Any, items: Sequence[str]) -> str:
    """Items behind the last `- …`, on lines of their own."""
    indent = " " * node.start_mark.column
    return _after(text, node, [f"{indent}- {_scalar(item, _style(node))}" for item in items])


def _with_entry(text: str, mapping: Any, key: str, value: Any) -> str:
    """A mapping with one more key behind its last."""
    if mapping.flow_style:
        entry = f"{key}: {json.dumps(value, ensure_ascii=False)}"
        if not mapping.value:
            at = mapping.start_mark.index + 1
            return text[:at] + entry + text[at:]
        at = mapping.value[-1][1].end_mark.index
        return f"{text[:at]}, {entry}{text[at:]}"
    indent = " " * mapping.start_mark.column
    if isinstance(value, str):
        return _after(text, mapping, [f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"])
    inner = [f"- {json.dumps(item)}" for item in value] if isinstance(value, list) else []
    if isinstance(value, dict):
        inner = [f"{name}: {json.dumps(item)}" for name, item in value.items()]
    return _after(text, mapping, [f"{indent}{key}:", *(f"{indent}  {line}" for line in inner)])


def _after(text: str, node: Any, lines: Sequence[str]) -> str:
    """Lines behind the one on which a block ends. A block's own mark stands behind the comments that follow it."""
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
    """Where the line that holds a character ends, before its line end, and the document's line end."""
    found = text.find("\n", at)
    line = "\r\n" if "\r\n" in text else "\n"
    if found < 0:
        return len(text), line
    return (found - 1 if text[found - 1] == "\r" and found - 1 >= at else found), line
