"""What is wrong with a profile, with its place, and how it is told: all problems in one error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from colabenv.errors import ProfileError

MAX_SHOWN: Final = 80
MAX_LISTED: Final = 20


@dataclass(frozen=True)
class Place:
    """Where something stands: the file as the user named it, and 1-based line and column."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is None:
            return self.source
        return f"{self.source}, line {self.line}" + (f", column {self.column}" if self.column else "")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: what, without place and value.
        place: where.
        value: the offending text, or None where there is none or it may be a secret.
        hint: how to mend it.
    """

    message: str
    place: Place
    value: str | None = None
    hint: str = ""


def shown(text: str) -> str:
    """`text` fit for a message: short, on one line, without control characters and credentials."""
    text = re.sub(r"://[^/@\s]*@", "://…@", text[: MAX_SHOWN * 4])
    if len(text) > MAX_SHOWN:
        text = text[: MAX_SHOWN - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _told(problem: Problem) -> str:
    return problem.message if problem.value is None else f"{problem.message}: '{shown(problem.value)}'"


def profile_error(problems: Iterable[Problem]) -> ProfileError:
    """One error out of at least one problem: the first leads, the others stand in its detail.

    Files keep the order in which they come, and the problems of a file that of their lines.
    """
    found = list(dict.fromkeys(problems))
    files = {place: number for number, place in reversed(list(enumerate(p.place.source for p in found)))}
    found.sort(key=lambda p: (files[p.place.source], p.place.line or 0, p.place.column or 0))
    first, others = found[0], found[1:]
    count = f" (and {len(others)} more {'problem' if len(others) == 1 else 'problems'})" if others else ""
    error = ProfileError(
        _told(first) + count,
        source=first.place.source,
        line=first.place.line,
        column=first.place.column,
        value=None if first.value is None else shown(first.value),
        hint=first.hint,
    )
    lines = [f"{p.place}: {_told(p)}" + (f"  {p.hint}" if p.hint else "") for p in others[:MAX_LISTED]]
    if len(others) > MAX_LISTED:
        lines.append(f"… and {len(others) - MAX_LISTED} more.")
    error.detail = "\n".join(lines)
    return error
