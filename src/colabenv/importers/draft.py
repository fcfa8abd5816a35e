"""A profile that is being written: values with the reasons for them, and the YAML text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Columns beyond which a comment is on its own line.
_WIDTH: Final = 110
#: How the first line of a draft starts.
_HEAD: Final = "Written by colabenv init from "
#: Requirements that are listed as comments.
_MAX_LEFT_OUT: Final = 200


@dataclass(frozen=True)
class DraftValue:
    """A value, and why it was chosen; `why` becomes its comment and is "" if nothing was guessed."""

    text: str
    why: str = ""


@dataclass
class Draft:
    """A profile that is being written. Attributes named as keys of the profile are their values."""

    name: str
    source: str  #: what it was made from, such as "the notebook lesson.ipynb"
    python: DraftValue | None = None
    stack: dict[str, DraftValue] = field(default_factory=dict)
    as_of: DraftValue | None = None
    like: DraftValue | None = None
    packages: list[DraftValue] = field(default_factory=list)
    left_out: list[DraftValue] = field(default_factory=list)  #: requirements that are listed as comments
    indexes: list[tuple[str, DraftValue]] = field(default_factory=list)  #: name and URL of each index
    source_builds: list[DraftValue] = field(default_factory=list)
    google_colab: DraftValue | None = None  #: `google_colab` of `kernel`
    remarks: list[str] = field(default_factory=list)  #: sentences for comments at the top
    notes: list[str] = field(default_factory=list)  #: the most important remarks, which are also printed

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)

    def text(self) -> str:
        """The profile as YAML with comments."""
        head = f"{_HEAD}{self.source}. Comments explain every guess; correct what is wrong."
        lines = [line for remark in (head, *self.notes, *self.remarks) for line in _comment(remark)]
        lines += [f"name: {quote_yaml(self.name)}"]
        if self.python:
            lines += _entry("python: ", self.python)
        if self.stack:
            lines.append("stack:")
            for key, value in self.stack.items():
                lines += _entry(f"  {key}: ", value)
        if self.as_of:
            lines += _entry("as_of: ", self.as_of)
        if self.like:
            lines += _entry("like: ", self.like)
        lines += self._package_lines()
        if self.indexes:
            lines.append("indexes:")
            for name, value in self.indexes:
                lines += [f"  - name: {quote_yaml(name)}", *_entry("    url: ", value)]
        if self.source_builds:
            lines += ["source_builds:", *_list_entries("  - ", self.source_builds)]
        if self.google_colab:
            lines += ["kernel:", *_entry("  google_colab: ", self.google_colab)]
        return "\n".join(lines) + "\n"

    def _package_lines(self) -> Iterator[str]:
        if self.packages:
            yield "packages:"
            yield from _list_entries("  - ", self.packages)
        elif self.left_out:
            yield "# packages:"
        for value in self.left_out[:_MAX_LEFT_OUT]:
            yield from _entry("  # - ", DraftValue(truncate(value.text, 300), value.why))
        if len(self.left_out) > _MAX_LEFT_OUT:
            yield f"  # and {len(self.left_out) - _MAX_LEFT_OUT} more"


def is_draft(profile: Path) -> bool:
    """Whether the profile at a path was drafted, and not written by hand."""
    return profile.read_text(encoding="utf-8", errors="replace").startswith(f"# {_HEAD}")


def render_starter_profile(name: str) -> str:
    """A short profile that explains its keys."""
    return f"""\
# A colabenv profile describes one environment. All keys: docs/profile.md
name: {quote_yaml(name)}

# By default, the newest Python that the TensorFlow below has wheels for.
# python: "3.11"

stack:
  tensorflow: "2.15"  # the newest 2.15; "2.15.1" for exactly that release, ">=2.15,<2.17" for a range

# Other packages.
# packages:
#   - "pandas==2.1.4"
#   - "matplotlib"

# Select package versions as of that day.
# as_of: 2023-12-01
"""


def quote_yaml(text: str) -> str:
    """A YAML scalar: plain for a simple word, otherwise in double quotes."""
    keywords = ("null", "yes", "no", "on", "off", "true", "false")
    if re.fullmatch(r"[a-z][a-z_-]*[a-z]", text) and text not in keywords:
        return text
    return '"' + "".join(map(_escape, text)) + '"'


def clean_comment(text: str) -> str:
    """`text` as one line of printable characters, shortened for a comment."""
    line = "".join(char if char.isprintable() and ord(char) < 0x10000 else " " for char in text)
    return textwrap.shorten(line, 600, placeholder=" …")


def truncate(text: str, length: int) -> str:
    """`text`, cut to `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _escape(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isascii() and char.isprintable():
        return char
    return f"\\U{ord(char):08X}"


def _list_entries(key: str, values: list[DraftValue]) -> Iterator[str]:
    for value in values:
        yield from _entry(key, value)


def _entry(key: str, value: DraftValue) -> list[str]:
    written = f"{key}{quote_yaml(value.text)}"
    why = clean_comment(value.why)
    if not why:
        return [written]
    if len(written) + len(why) + 4 <= _WIDTH:
        return [f"{written}  # {why}"]
    indent = key[: len(key) - len(key.lstrip())]
    return [*(f"{indent}{line}" for line in _comment(why)), written]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(clean_comment(text), _WIDTH - 6)]
