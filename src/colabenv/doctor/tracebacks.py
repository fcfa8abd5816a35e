"""Exceptions read from the text of a traceback. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from colabenv.doctor.model import Complaint

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_LAST = re.compile(
    r"^(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning|Iteration|Group))(?:: ?(?P<message>.*))?$"
)
_BEGIN = "Traceback (most recent call last)"


def plain(text: str) -> str:
    """Text without the colours that IPython gives a traceback."""
    return _ANSI.sub("", text)


def complaints_in(text: str, source: str, *, statement: str = "", here: bool = True) -> Iterator[Complaint]:
    """Each traceback in a text; of chained exceptions the last, with the whole chain as its `text`.

    Args:
        text: for instance what a child wrote to standard error, or a saved cell output; colours do no harm.
        source: as `Complaint.source`; a number is added from the second on.
        statement: as `Complaint.statement`.
        here: as `Complaint.here`.
    """
    lines = plain(text).splitlines()
    starts = [
        number for number, line in enumerate(lines) if _BEGIN in line and not _is_chained(lines, number)
    ]
    for count, start in enumerate(starts, start=1):
        end = starts[count] if count < len(starts) else len(lines)
        found = _one(lines[start:end], source if count == 1 else f"{source} ({count})", statement, here)
        if found is not None:
            yield found


def _is_chained(lines: list[str], number: int) -> bool:
    """Whether the traceback that begins there belongs to the one before it."""
    before = [line for line in lines[max(0, number - 3) : number] if line.strip()]
    return bool(before) and ("another exception occurred" in before[-1] or "direct cause of" in before[-1])


def _one(lines: list[str], source: str, statement: str, here: bool) -> Complaint | None:
    ends = [number for number, line in enumerate(lines) if _LAST.match(line)]
    if not ends:
        return None
    matched = _LAST.match(lines[ends[-1]])
    if matched is None:
        return None
    message = [matched["message"] or ""]
    for line in lines[ends[-1] + 1 :]:
        if line.startswith(_BEGIN):
            break
        message.append(line)
    begin = max((number for number, line in enumerate(lines[: ends[-1]]) if _BEGIN in line), default=0)
    frames = [_FRAME.match(line) for line in lines[begin : ends[-1]]]
    return Complaint(
        source=source,
        statement=statement,
        kind=matched["kind"].rpartition(".")[2],
        message="\n".join(message).strip(),
        frames=tuple((one["file"], int(one["line"]), one["function"] or "") for one in frames if one),
        text="\n".join(lines).strip(),
        here=here,
    )
