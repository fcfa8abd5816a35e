"""Problems of a profile with their locations, and the one error that reports them all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic_core import PydanticCustomError

from colabenv.errors import ProfileError

MAX_SHOWN: Final = 80
MAX_LISTED: Final = 20


@dataclass(frozen=True)
class Location:
    """A file, named as the user named it, with a 1-based line and column."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is None:
            return self.source
        return f"{self.source}, line {self.line}" + (f", column {self.column}" if self.column else "")


@dataclass(frozen=True)
class Problem:
    """One error in a profile."""

    message: str  #: what is wrong; `{value}` in it stands for the quoted value, which is appended otherwise
    location: Location  #: where
    value: str | None = None  #: the offending text, or None if there is none or it may be a secret
    hint: str = ""  #: how to fix it

    def __str__(self) -> str:
        if self.value in {None, self.location.source}:
            return self.message
        quoted = f"'{sanitize(self.value or '')}'"
        if "{value}" in self.message:
            return self.message.replace("{value}", quoted)
        return f"{self.message}: {quoted}"

    @classmethod
    def from_invalid_value(cls, error: PydanticCustomError, location: Location, value: str) -> Problem:
        """The problem that an error of `validators.invalid_value` describes."""
        context = error.context or {}
        return cls(context["problem"], location, value, context["hint"])


def sanitize(text: str) -> str:
    """`text` shortened to one line without control characters and credentials, for a message."""
    text = re.sub(r"://[^/@\s]*@", "://…@", text[: MAX_SHOWN * 4])
    if len(text) > MAX_SHOWN:
        text = text[: MAX_SHOWN - 1] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def profile_error(problems: Iterable[Problem]) -> ProfileError:
    """One error for one or more problems: the first is its message, the others are its detail.

    Files keep their order; the problems of a file are sorted by line and column.
    """
    ordered = list(dict.fromkeys(problems))
    sources = list(dict.fromkeys(problem.location.source for problem in ordered))

    def position(problem: Problem) -> tuple[int, int, int]:
        location = problem.location
        return sources.index(location.source), location.line or 0, location.column or 0

    ordered.sort(key=position)
    first, others = ordered[0], ordered[1:]
    count = f" (and {len(others)} more {'problem' if len(others) == 1 else 'problems'})" if others else ""
    error = ProfileError(
        f"{first}{count}",
        source=first.location.source,
        line=first.location.line,
        column=first.location.column,
        value=None if first.value is None else sanitize(first.value),
        hint=first.hint,
    )
    lines = [
        f"{problem.location}: {problem}" + (f"  {problem.hint}" if problem.hint else "")
        for problem in others[:MAX_LISTED]
    ]
    if len(others) > MAX_LISTED:
        lines.append(f"… and {len(others) - MAX_LISTED} more.")
    error.detail = "\n".join(lines)
    return error
