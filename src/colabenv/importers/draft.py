"""A profile to be: what it says and why, and its text. Pure."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import Final

#: Columns beyond which a comment goes on a line of its own.
_WIDTH: Final = 110
#: Requirements that are written down as comments.
_MOST: Final = 200


@dataclass(frozen=True)
class Line:
    """A value and why it is there.

    Attributes:
        text: the value.
        why: the comment; "" where nothing was guessed.
    """

    text: str
    why: str = ""


@dataclass
class Draft:
    """A profile to be.

    Attributes:
        name: of the profile.
        title: what it was made from: "the notebook lesson.ipynb".
        python: see the profile's key, or None.
        stack: key to value.
        as_of: the day, or None.
        packages: requirements.
        left_out: requirements that are written down as comments.
        indexes: (name, URL) of each.
        source_builds: distributions.
        remarks: what its reader should know, a sentence each.
        notes: the remarks that matter most; they are shown as well.
    """

    name: str
    title: str
    python: Line | None = None
    stack: dict[str, Line] = field(default_factory=dict)
    as_of: Line | None = None
    packages: list[Line] = field(default_factory=list)
    left_out: list[Line] = field(default_factory=list)
    indexes: list[tuple[str, Line]] = field(default_factory=list)
    source_builds: list[Line] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """A remark that is shown as well."""
        if text not in self.notes:
            self.notes.append(text)

    def text(self) -> str:
        """The profile as YAML, with its comments."""
        head = f"Written by colabenv init from {self.title}. What was guessed says why: change what is wrong."
        parts = [*_comment(head), *(line for note in (*self.notes, *self.remarks) for line in _comment(note))]
        parts += [f"name: {quoted(self.name)}"]
        if self.python:
            parts += _entry("python: ", self.python)
        if self.stack:
            parts += [
                "stack:",
                *(part for key, line in self.stack.items() for part in _entry(f"  {key}: ", line)),
            ]
        if self.as_of:
            parts += _entry("as_of: ", self.as_of)
        parts += self._packages()
        if self.indexes:
            parts += ["indexes:"]
            for name, line in self.indexes:
                parts += [f"  - name: {quoted(name)}", *_entry("    url: ", line)]
        if self.source_builds:
            parts += [
                "source_builds:",
                *(part for line in self.source_builds for part in _entry("  - ", line)),
            ]
        return "\n".join(parts) + "\n"

    def _packages(self) -> list[str]:
        parts = [part for line in self.packages for part in _entry("  - ", line)]
        if parts:
            parts.insert(0, "packages:")
        elif self.left_out:
            parts.append("# packages:")
        for line in self.left_out[:_MOST]:
            parts += _entry("  # - ", Line(short(line.text, 300), line.why))
        if len(self.left_out) > _MOST:
            parts += [f"  # and {len(self.left_out) - _MOST} more"]
        return parts


def minimal(name: str) -> str:
    """A profile to begin with, each key explained."""
    return f"""\
# A profile of colabenv: it describes one environment. docs/profile.md explains every key.
name: {quoted(name)}

# Left out, python is the newest that the TensorFlow below has wheels for.
# python: "3.11"

stack:
  tensorflow: "2.15"  # the newest 2.15; "2.15.1" is exactly that, ">=2.15,<2.17" a range

# Further packages, as pip takes them.
# packages:
#   - "pandas==2.1.4"
#   - "matplotlib"

# Choose versions as if it were that day.
# as_of: 2023-12-01
"""


def quoted(text: str) -> str:
    """A text as YAML has it in double quotes, or plain where it is a simple word."""
    if re.fullmatch(r"[a-z][a-z_-]*[a-z]", text) and text not in (
        "null",
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
    ):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def printable(text: str) -> str:
    """Text for a comment: one line of characters that every editor shows, of a bounded length."""
    shown = "".join(char if char.isprintable() and ord(char) < 0x10000 else " " for char in text)
    return textwrap.shorten(shown, 600, placeholder=" …")


def short(text: str, length: int) -> str:
    """A text, cut where it is longer than that many characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isascii() and char.isprintable():
        return char
    return f"\\U{ord(char):08X}"


def _entry(key: str, line: Line) -> list[str]:
    written = f"{key}{quoted(line.text)}"
    why = printable(line.why)
    if not why:
        return [written]
    if len(written) + len(why) + 4 <= _WIDTH:
        return [f"{written}  # {why}"]
    indent = key[: len(key) - len(key.lstrip())]
    return [*(f"{indent}{part}" for part in _comment(why)), written]


def _comment(text: str) -> list[str]:
    return [f"# {part}" for part in textwrap.wrap(printable(text), _WIDTH - 6)]
