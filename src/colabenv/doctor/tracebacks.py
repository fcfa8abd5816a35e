"""Exceptions read from the text of a traceback: Python's own form and IPython's 7 to 9, alone or in a log. Pure.

Nothing here raises, whatever the text: what is no exception is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from colabenv.doctor.model import Complaint

#: Characters of a text that are looked at; of a longer one, the first quarter and the rest from its end.
MAX_TEXT: Final = 1_000_000
# Lines of one message: protobuf's advice has 10, a traceback inside a message may have 50.
_MESSAGE_LINES: Final = 60
_LINE: Final = 4_000

# ECMA-48 control sequences; a traceback that was copied may have lost the escape character itself.
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|(?<!\w)\[[0-9;]{1,8}m"
)
_BEGIN = "Traceback (most recent call last)"
# Python: `Traceback (…):`; IPython: `KeyError        Traceback (…)`; a group: `+ Exception Group Traceback (…):`.
_HEADER = re.compile(r"(?P<before>.*?)(?P<group>Exception Group )?" + re.escape(_BEGIN))
_CHAIN = re.compile(r"another exception occurred:|the direct cause of the following exception:")
_KIND = r"(?P<kind>[A-Za-z_][\w.]*)"
_ENDING = r"(?:Error|Exception|Interrupt|Exit|Warning|Iteration|Group|NotFound|Failure|Timeout)"
_LAST = re.compile(rf"^{_KIND}(?:: ?(?P<message>.*))?$")
_ALONE = re.compile(
    rf"^(?P<kind>(?:[A-Za-z_]\w{{0,80}}\.){{0,8}}\w{{0,80}}{_ENDING})(?:: (?P<message>.*)|:?)$"
)
# Frames, as Python, IPython 7, IPython 8 and later write them.
_FRAMES = (
    re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$'),
    re.compile(r"^(?P<file>(?:~|/|<ipython-input|<frozen|[A-Za-z]:\\|/tmp)\S*) in (?P<function>\S+)"),
    re.compile(r"^(?:File )(?P<file>[^\s:,][^:,]*):(?P<line>\d+)(?:, in (?P<function>.+))?"),
    re.compile(r"^(?P<file>(?:Cell |Input )In ?\[\d+\]), (?:line (?P<line>\d+)|in (?P<function>.+))"),
)
_ARROW = re.compile(r"^\s*-+> ?(?P<line>\d+) ?(?P<code>.*)$")
_MARKERS = re.compile(r"^[\s~^]+$")
_GROUP_MARGIN = re.compile(r"^\s*(?:\|\s?|\+-[-+ 0-9.]*$|\+ )")
# What ends a message in a log or a notebook.
_AFTER = re.compile(
    r"^(?:-{20,}|={20,}|\[?\d{4}-\d\d-\d\d|\[?\d\d:\d\d:\d\d|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b"
    r"|[IWEF]\d{4} |NOTE: If your import is failing|View examples of installing)"
)
_INSTALLED = re.compile(r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib[\\/]python3|^<frozen|importlib")


@dataclass
class _Part:
    """One traceback of a chain: its lines, by what was read from them."""

    kind: str
    message: str
    frames: list[tuple[str, int, str]]
    code: list[str]


def plain(text: str) -> str:
    """Text without the colours that IPython gives a traceback."""
    return _ANSI.sub("", text)


def complaints_in(text: str, source: str, *, statement: str = "", here: bool = True) -> Iterator[Complaint]:
    """Each traceback in a text; of chained exceptions the last, with the whole chain as its `text`.

    Args:
        text: for instance what a child wrote to standard error, a log, or a saved cell output; colours do no harm.
        source: as `Complaint.source`; a number is added from the second on.
        statement: as `Complaint.statement`; by default the line of the person's own code that the traceback shows.
        here: as `Complaint.here`.

    Returns:
        The exceptions in order. A text without a traceback may still hold the last line of one.
    """
    lines = _lines(text)
    number = 0
    for block in _blocks(lines):
        found = _block(block)
        if found is None:
            continue
        number += 1
        part, shown = found
        yield Complaint(
            source=source if number == 1 else f"{source} ({number})",
            statement=statement or _own_line(part),
            kind=part.kind.rpartition(".")[2],
            message=part.message,
            frames=tuple(part.frames),
            text="\n".join(shown).strip("\n"),
            here=here,
        )
    if not number and (last := _alone(lines)) is not None:
        yield Complaint(
            source, statement, last.kind.rpartition(".")[2], last.message, text=_said(last), here=here
        )


def shortened(text: str) -> str:
    """A text of at most `MAX_TEXT` characters: a traceback stands at a log's end, or at its start."""
    if len(text) <= MAX_TEXT:
        return text
    first = MAX_TEXT // 4
    return f"{text[:first]}\n…\n{text[first - MAX_TEXT :]}"


def _lines(text: str) -> list[str]:
    clean = plain(shortened(text)).replace("\r\n", "\n")
    lines = [line[:_LINE].rstrip().rpartition("\r")[2] for line in clean.split("\n")]
    if "Exception Group Traceback" in clean:
        return [_GROUP_MARGIN.sub("", line) for line in lines]
    return lines


def _blocks(lines: Sequence[str]) -> Iterator[list[list[str]]]:
    """The chains in a text: each a list of tracebacks, each a list of lines that begins with its header."""
    starts = [number for number, line in enumerate(lines) if _BEGIN in line]
    chain: list[list[str]] = []
    for start, end in zip(starts, [*starts, len(lines)][1:], strict=True):
        before = next((line for line in reversed(lines[max(0, start - 4) : start]) if line.strip("- ")), "")
        if chain and not _CHAIN.search(before):
            yield chain
            chain = []
        chain.append(_without_prefix(lines[start:end]))
    if chain:
        yield chain


def _without_prefix(lines: Sequence[str]) -> list[str]:
    """The lines of a traceback in a log, without what the log puts before each of them."""
    found = _HEADER.match(lines[0])
    before = found["before"] if found else ""
    if not before or not before.strip():
        return [line[len(before) :] if line.startswith(before) else line for line in lines]
    rest = [line for line in lines[1:4] if line.strip()]
    # A stamp differs from line to line, yet is as long.
    stamped = bool(rest) and all(_same_shape(line[: len(before)], before) for line in rest)
    return [line[len(before) :] for line in lines] if stamped else list(lines)


def _same_shape(one: str, other: str) -> bool:
    return re.sub(r"\d", "0", one) == re.sub(r"\d", "0", other)


def _block(chain: Sequence[list[str]]) -> tuple[_Part, list[str]] | None:
    """The last exception of a chain, and the lines of the whole chain."""
    shown: list[str] = []
    last = None
    for lines in chain:
        read = _read(lines)
        if read is not None:
            last, count = read
            shown += lines[:count] if lines is chain[-1] else lines
    return (last, shown) if last is not None else None


def _read(lines: Sequence[str]) -> tuple[_Part, int] | None:
    """One traceback, and how many of the lines are its own."""
    header = _HEADER.match(lines[0])
    named = header["before"].strip() if header and not header["group"] else ""
    wanted = named if re.fullmatch(r"[A-Za-z_][\w.]*", named) else ""
    end = _end(lines, wanted)
    if end is None:
        return None
    found = _LAST.match(lines[end])
    message, count = _message(lines, end, (found["message"] or "") if found else "")
    frames, code = _frames(lines[1:end])
    return _Part(found["kind"] if found else wanted, message, frames, code), count


def _end(lines: Sequence[str], wanted: str) -> int | None:
    """The number of the line that names the exception."""
    for number, line in enumerate(lines[1:], start=1):
        if wanted:
            if re.match(rf"{re.escape(wanted)}(?::|$)", line):
                return number
        elif line[:1].strip() and _LAST.match(line) and not any(form.match(line) for form in _FRAMES):
            return number
    later = (number for number in range(len(lines) - 1, 0, -1) if _ALONE.match(lines[number]))
    return next(later, None)


def _message(lines: Sequence[str], end: int, first: str) -> tuple[str, int]:
    message = [first]
    for line in lines[end + 1 : end + _MESSAGE_LINES]:
        if _AFTER.match(line) or _CHAIN.search(line):
            break
        message.append(line)
    return "\n".join(message).strip(), end + len(message)


def _frames(lines: Sequence[str]) -> tuple[list[tuple[str, int, str]], list[str]]:
    """The frames, and of each the line of code that is shown."""
    frames: list[tuple[str, int, str]] = []
    code: list[str] = []
    for line in lines:
        found = next((match for form in _FRAMES if (match := form.match(line))), None)
        if found is not None:
            groups = found.groupdict()
            frames.append(
                (groups["file"], int(groups.get("line") or 0), (groups.get("function") or "").strip())
            )
            code.append("")
        elif frames and (arrow := _ARROW.match(line)):
            file, _, function = frames[-1]
            frames[-1] = (file, int(arrow["line"]), function)
            code[-1] = arrow["code"].strip()
        elif frames and line.startswith("    ") and not code[-1] and not _MARKERS.match(line):
            code[-1] = "" if re.match(r"\s+\d+ ", line) else line.strip()
    return frames, code


def _own_line(part: _Part) -> str:
    """The innermost line of code that does not lie in an installed package, or ""."""
    pairs = zip(reversed(part.frames), reversed(part.code), strict=True)
    return next((code for (file, _, _), code in pairs if code and not _INSTALLED.search(file)), "")


def _alone(lines: Sequence[str]) -> _Part | None:
    """The last line of a traceback where its beginning was not copied."""
    for number in range(len(lines) - 1, -1, -1):
        found = _ALONE.match(lines[number])
        if found and not found["kind"].endswith("Warning"):
            message, _ = _message(lines, number, found["message"] or "")
            frames, code = _frames(lines[:number])
            return _Part(found["kind"], message, frames, code)
    return None


def _said(part: _Part) -> str:
    return f"{part.kind}: {part.message}" if part.message else part.kind
