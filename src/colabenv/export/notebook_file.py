"""Set the kernel or an embedded profile and the first cell of a notebook; everything else stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from colabenv.importers.embedded_profile import KEY
from colabenv.importers.notebook import as_object, join_lines, parse_notebook_json

#: Start of the cell's first line, which identifies it if an editor has dropped its metadata.
_TITLE: Final = "# The environment of this notebook (colabenv): "
HEADER: Final = f"{_TITLE}run this cell, then reload the page."
EMBEDDED_HEADER: Final = f"{_TITLE}run this cell before the others."
_CELL_ID: Final = "colabenv-up"
_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class NotebookEnvironment:
    """The kernel and the first cell of a notebook."""

    kernel: str  #: the kernel's name
    display_name: str  #: its name in menus
    profile: str  #: the profile's path in the first cell
    commands: tuple[str, ...]  #: the lines of the first cell after its header
    embedded: dict[str, Any] | None = (
        None  #: the profile for the notebook's metadata; its kernel then stays as it is
    )

    @property
    def kernelspec(self) -> dict[str, str]:
        """The notebook's `metadata.kernelspec`."""
        return {"display_name": self.display_name, "language": "python", "name": self.kernel}

    @property
    def notebook_metadata(self) -> dict[str, Any]:
        """What a new notebook has in its metadata."""
        if self.embedded:
            python = {"display_name": "Python 3", "language": "python", "name": "python3"}
            return {KEY: self.embedded, "kernelspec": python}
        return {"kernelspec": self.kernelspec}

    @property
    def source(self) -> list[str]:
        """The first cell's `source`, a list of lines."""
        return "\n".join([EMBEDDED_HEADER if self.embedded else HEADER, *self.commands]).splitlines(
            keepends=True
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """The first cell's `metadata`."""
        return {KEY: {"cell": "up", "profile": self.profile}}

    def cell(self, cell_id: str | None) -> dict[str, Any]:
        """The first cell with its keys in Jupyter's order, without an id if `cell_id` is None."""
        return {
            "cell_type": "code",
            "execution_count": None,
            **({"id": cell_id} if cell_id else {}),
            "metadata": self.metadata,
            "outputs": [],
            "source": self.source,
        }


def render_new_notebook(environment: NotebookEnvironment) -> str:
    """A notebook of nbformat 4.5 with the first cell and an empty one."""
    empty = {**environment.cell("first"), "metadata": {}, "source": []}
    notebook = {
        "cells": [environment.cell(_CELL_ID), empty],
        "metadata": {**environment.notebook_metadata, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def set_environment(text: str, environment: NotebookEnvironment, name: str) -> str:
    """Set the kernel and the first cell, or update the cell where it is; `name` is the file's in messages.

    Raises:
        UsageError: the text is not a Python notebook of nbformat 4.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""  # editors on Windows add it
    text = text.removeprefix("\ufeff")
    notebook = parse_notebook_json(text, name)
    start = _skip_whitespace(text, 0)
    top = _find_members(text, start)
    style = _detect_style(text, start, list(top.values()))
    edits = _edit_metadata(text, notebook["metadata"], top["metadata"], environment, style)
    edits += _edit_first_cell(text, notebook, top["cells"], environment, style)
    return mark + _apply_edits(text, edits)


def _is_ours(cell: dict[str, Any]) -> bool:
    marked = as_object(cell["metadata"].get(KEY)).get("cell") == "up"
    return cell["cell_type"] == "code" and (marked or join_lines(cell["source"]).startswith(_TITLE))


class _Edit(NamedTuple):
    """A replacement for the text between two offsets."""

    start: int
    end: int
    text: str


class _Member(NamedTuple):
    """The offsets of a member of an object or an element of a list; `value` is where its value starts."""

    start: int
    value: int
    end: int


@dataclass(frozen=True)
class _Style:
    """The formatting of a notebook's JSON."""

    indent: str | None  #: of one level, None if everything is on one line
    newline: str
    comma: str  #: with the space after it, if any
    colon: str  #: likewise
    escaped: bool  #: non-ASCII characters are escaped

    def render(self, value: object, gap: str) -> str:
        """A value as JSON for a line that starts with the whitespace `gap`."""
        is_multiline = self.indent is not None and "\n" in gap
        rendered = json.dumps(
            value,
            indent=self.indent if is_multiline else None,
            ensure_ascii=self.escaped,
            separators=(self.comma.rstrip() if is_multiline else self.comma, self.colon),
        )
        return rendered.replace("\n", self.newline + gap.rpartition("\n")[2])

    def deeper(self, gap: str) -> str:
        """The whitespace one level deeper than a line that starts with `gap`."""
        if self.indent is None or "\n" not in gap:
            return ""
        return self.newline + gap.rpartition("\n")[2] + self.indent


def _detect_style(text: str, start: int, members: list[_Member]) -> _Style:
    """Detect the formatting from the top-level object, which has at least three members."""
    gap = text[start + 1 : members[0].start]
    return _Style(
        indent=gap.rpartition("\n")[2] if "\n" in gap else None,
        newline="\r\n" if "\r\n" in gap else "\n",
        comma=", " if text[members[1].start - 1] == " " else ",",
        colon=": " if text[members[0].value - 1] == " " else ":",
        escaped=text.isascii() and re.search(r"\\u(?!00[0-7])", text) is not None,
    )


def _apply_edits(text: str, edits: Sequence[_Edit]) -> str:
    """Apply edits; those at the same offset in their order."""
    pieces, end = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        pieces += [text[end : edit.start], edit.text]
        end = edit.end
    return "".join([*pieces, text[end:]])


def _edit_metadata(
    text: str, metadata: dict[str, Any], place: _Member, environment: NotebookEnvironment, style: _Style
) -> list[_Edit]:
    """Set the embedded profile; or the kernelspec, keeping its other keys, and empty an old embedded profile."""
    if environment.embedded:
        return list(_set_members(text, place, metadata, {KEY: environment.embedded}, style))
    emptied: dict[str, Any] = {KEY: {}} if metadata.get(KEY) else {}
    edits = list(_set_members(text, place, metadata, emptied, style)) if emptied else []
    spec = metadata.get("kernelspec")
    if isinstance(spec, dict) and spec:
        inside = _find_members(text, place.value)["kernelspec"]
        return [*edits, *_set_members(text, inside, spec, environment.kernelspec, style)]
    return [*edits, *_set_members(text, place, metadata, {"kernelspec": environment.kernelspec}, style)]


def _edit_first_cell(
    text: str, notebook: dict[str, Any], place: _Member, environment: NotebookEnvironment, style: _Style
) -> list[_Edit]:
    """Update colabenv's cell, or insert it before all others."""
    cells, places = notebook["cells"], list(_find_elements(text, place.value))
    own_cells = [pair for pair in zip(cells, places, strict=True) if _is_ours(pair[0])]
    if not own_cells:
        with_id = notebook["nbformat_minor"] >= 5
        cell = environment.cell(_choose_id(cells) if with_id else None)
        return [_prepend_cell(text, place, places, cell, style)]
    edits: list[_Edit] = []
    for cell, where in own_cells:
        if join_lines(cell["source"]) != "".join(environment.source):
            edits += _set_members(text, where, cell, {"source": environment.source}, style)
        edits += _set_members(
            text, _find_members(text, where.value)["metadata"], cell["metadata"], environment.metadata, style
        )
    return edits


def _choose_id(cells: list[dict[str, Any]]) -> str:
    used_ids = {cell.get("id") for cell in cells}
    numbered = (f"{_CELL_ID}-{number}" for number in range(2, len(cells) + 3))
    return next(name for name in (_CELL_ID, *numbered) if name not in used_ids)


def _set_members(
    text: str, place: _Member, present: dict[str, Any], wanted: dict[str, Any], style: _Style
) -> Iterator[_Edit]:
    """Set members of an object; new ones are inserted in sorted order, or last if the object is not sorted."""
    members = _find_members(text, place.value)
    if not members:
        gap = _line_start(text, place.start)
        yield _Edit(place.value, place.end, style.render(wanted, gap))
        return
    gap = text[place.value + 1 : next(iter(members.values())).start]
    between = gap if "\n" in gap else style.comma[1:]
    ordered = list(members) == sorted(members)
    for key, value in wanted.items():
        rendered = style.render(value, gap)
        if key in members:
            if present[key] != value:
                yield _Edit(members[key].value, members[key].end, rendered)
            continue
        member = json.dumps(key) + style.colon + rendered
        later = next((members[other].start for other in members if ordered and other > key), None)
        if later is None:
            last = max(member.end for member in members.values())
            yield _Edit(last, last, f",{between}{member}")
        else:
            yield _Edit(later, later, f"{member},{between}")


def _prepend_cell(
    text: str, place: _Member, places: list[_Member], cell: dict[str, Any], style: _Style
) -> _Edit:
    """Insert a cell before the others."""
    if not places:
        outer = _line_start(text, place.start)
        inner = style.deeper(outer)
        closing = outer if inner else ""
        return _Edit(place.value, place.end, f"[{inner}{style.render(cell, inner)}{closing}]")
    gap = text[place.value + 1 : places[0].start]
    between = gap if "\n" in gap else style.comma[1:]
    return _Edit(places[0].start, places[0].start, f"{style.render(cell, gap)},{between}")


def _line_start(text: str, at: int) -> str:
    """The line break and whitespace right before `at`, or ""."""
    gap = re.search(r"\r?\n[ \t]*$", text[max(0, at - 200) : at])
    return gap[0] if gap else ""


def _find_members(text: str, start: int) -> dict[str, _Member]:
    """The members of the object at `start`; the last one of duplicate keys."""
    members = {}
    at = _skip_whitespace(text, start + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = _skip_whitespace(text, at + 1)
        key, end = _DECODER.raw_decode(text, at)
        value = _skip_whitespace(text, _skip_whitespace(text, end) + 1)
        end = _DECODER.raw_decode(text, value)[1]
        members[key] = _Member(at, value, end)
        at = _skip_whitespace(text, end)
    return members


def _find_elements(text: str, start: int) -> Iterator[_Member]:
    """The elements of the list at `start`."""
    at = _skip_whitespace(text, start + 1)
    while text[at] != "]":
        if text[at] == ",":
            at = _skip_whitespace(text, at + 1)
        end = _DECODER.raw_decode(text, at)[1]
        yield _Member(at, at, end)
        at = _skip_whitespace(text, end)


def _skip_whitespace(text: str, at: int) -> int:
    """The end of the whitespace at `at`."""
    space = _SPACE.match(text, at)
    return space.end() if space else at
