"""Read exceptions from tracebacks of Python and IPython 7 to 9, alone or in a log.

Nothing here raises, whatever the text: what is not an exception is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from colabenv.doctor.model import ErrorReport

#: Characters of a text to read; of a longer text, a quarter from its start and the rest from its end.
MAX_TEXT: Final = 1_000_000
# Lines of one message: protobuf's advice has 10, a traceback inside a message may have 50.
_MESSAGE_LINES: Final = 60
_LINE: Final = 4_000

# ECMA-48 control sequences; a copied traceback may have lost the escape character itself.
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
    rf"^(?P<kind>(?=[A-Za-z_])(?:[A-Za-z_]\w{{0,80}}\.){{0,8}}\w{{0,80}}{_ENDING})(?:: (?P<message>.*)|:?)$"
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
# Lines that end a message in a log or a notebook.
_AFTER = re.compile(
    r"^(?:-{20,}|={20,}|\[?\d{4}-\d\d-\d\d|\[?\d\d:\d\d:\d\d|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b"
    r"|[IWEF]\d{4} |NOTE: If your import is failing|View examples of installing)"
)
_INSTALLED = re.compile(r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib[\\/]python3|^<frozen|importlib")


@dataclass
class _Part:
    """One traceback of a chain."""

    kind: str
    message: str
    frames: list[tuple[str, int, str]]
    code: list[str]


def strip_colors(text: str) -> str:
    """Text without terminal colors."""
    return _ANSI.sub("", text)


def read_tracebacks(
    text: str, source: str, *, statement: str = "", is_local: bool = True
) -> Iterator[ErrorReport]:
    """Each traceback in a text, in order; of chained exceptions the last, with the whole chain as its `text`.

    A text without a traceback may still contain the last line of one. The `statement` is by default the line
    of the person's own code in the traceback; a number is added to the `source` from the second exception on.
    """
    lines = _split_lines(text)
    exceptions = list(filter(None, map(_read_chain, _split_chains(lines))))
    for number, (part, shown) in enumerate(exceptions, start=1):
        yield ErrorReport(
            source=source if number == 1 else f"{source} ({number})",
            statement=statement or _own_line(part),
            kind=part.kind.rpartition(".")[2],
            message=part.message,
            frames=tuple(part.frames),
            text="\n".join(shown).strip("\n"),
            is_local=is_local,
        )
    if not exceptions and (last := _read_last_line(lines)) is not None:
        kind = last.kind.rpartition(".")[2]
        shown_line = f"{last.kind}: {last.message}" if last.message else last.kind
        yield ErrorReport(source, statement, kind, last.message, text=shown_line, is_local=is_local)


def shorten(text: str) -> str:
    """A text of at most `MAX_TEXT` characters: tracebacks are at the end of a log, or at its start."""
    if len(text) <= MAX_TEXT:
        return text
    first = MAX_TEXT // 4
    return f"{text[:first]}\n…\n{text[first - MAX_TEXT :]}"


def _split_lines(text: str) -> list[str]:
    clean = strip_colors(shorten(text)).replace("\r\n", "\n")
    lines = [line[:_LINE].rstrip().rpartition("\r")[2] for line in clean.split("\n")]
    is_group = "Exception Group Traceback" in clean
    return [_GROUP_MARGIN.sub("", line) for line in lines] if is_group else lines


def _split_chains(lines: Sequence[str]) -> Iterator[list[list[str]]]:
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
    """The lines of a traceback without the prefix of a log."""
    header = _HEADER.match(lines[0])
    prefix = header["before"] if header else ""
    if not prefix.strip():
        return [line.removeprefix(prefix) for line in lines]
    rest = [line for line in lines[1:4] if line.strip()]
    # Time stamps differ from line to line, but only in their digits.
    shapes = {re.sub(r"\d", "0", line[: len(prefix)]) for line in (prefix, *rest)}
    return [line[len(prefix) :] for line in lines] if rest and len(shapes) == 1 else list(lines)


def _read_chain(chain: Sequence[list[str]]) -> tuple[_Part, list[str]] | None:
    """The last exception of a chain, and the lines of the whole chain."""
    shown: list[str] = []
    last = None
    for lines in chain:
        read = _read_part(lines)
        if read is not None:
            last, count = read
            shown += lines[:count] if lines is chain[-1] else lines
    return (last, shown) if last is not None else None


def _read_part(lines: Sequence[str]) -> tuple[_Part, int] | None:
    """One traceback, and how many of the lines belong to it."""
    header = _HEADER.match(lines[0])
    before = header["before"].strip() if header and not header["group"] else ""
    kind = before if re.fullmatch(r"[A-Za-z_][\w.]*", before) else ""
    end = _find_end(lines, kind)
    if end is None:
        return None
    last = _LAST.match(lines[end])
    message, count = _read_message(lines, end, (last["message"] or "") if last else "")
    frames, code = _read_frames(lines[1:end])
    return _Part(last["kind"] if last else kind, message, frames, code), count


def _find_end(lines: Sequence[str], kind: str) -> int | None:
    """The number of the line that names the exception, whose class may be known from the header."""
    last_line = re.compile(rf"{re.escape(kind)}(?::|$)") if kind else _LAST
    for number, line in enumerate(lines[1:], start=1):
        is_frame = not kind and any(form.match(line) for form in _FRAMES)
        if line[:1].strip() and last_line.match(line) and not is_frame:
            return number
    later = (number for number in range(len(lines) - 1, 0, -1) if _ALONE.match(lines[number]))
    return next(later, None)


def _read_message(lines: Sequence[str], end: int, first: str) -> tuple[str, int]:
    message = [first]
    for line in lines[end + 1 : end + _MESSAGE_LINES]:
        if _AFTER.match(line) or _CHAIN.search(line):
            break
        message.append(line)
    return "\n".join(message).strip(), end + len(message)


def _read_frames(lines: Sequence[str]) -> tuple[list[tuple[str, int, str]], list[str]]:
    """The frames, and the line of code shown for each."""
    frames: list[tuple[str, int, str]] = []
    code: list[str] = []
    for line in lines:
        frame = next((match for form in _FRAMES if (match := form.match(line))), None)
        if frame is not None:
            groups = frame.groupdict()
            function = (groups.get("function") or "").strip()
            frames.append((groups["file"], int(groups.get("line") or 0), function))
            code.append("")
        elif frames and (arrow := _ARROW.match(line)):
            file, _, function = frames[-1]
            frames[-1] = (file, int(arrow["line"]), function)
            code[-1] = arrow["code"].strip()
        elif frames and line.startswith("    ") and not code[-1] and not _MARKERS.match(line):
            code[-1] = "" if re.match(r"\s+\d+ ", line) else line.strip()
    return frames, code


def _own_line(part: _Part) -> str:
    """The innermost line of code outside of installed packages, or ""."""
    pairs = zip(reversed(part.frames), reversed(part.code), strict=True)
    return next((code for (file, _, _), code in pairs if code and not _INSTALLED.search(file)), "")


def _read_last_line(lines: Sequence[str]) -> _Part | None:
    """The last line of a traceback whose beginning was not copied."""
    for number in range(len(lines) - 1, -1, -1):
        last = _ALONE.match(lines[number])
        if last and not last["kind"].endswith("Warning"):
            message, _ = _read_message(lines, number, last["message"] or "")
            return _Part(last["kind"], message, [], [])
    return None
