"""What a person hands to the doctor besides an interpreter: a traceback, a notebook, or what a kernel saw."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from colabenv.doctor import reading, tracebacks
from colabenv.doctor.checks import diagnose
from colabenv.doctor.model import Complaint, Facts, Finding, Loaded
from colabenv.errors import UsageError

if TYPE_CHECKING:
    from colabenv.importers.notebook import Notebook

#: Bytes that are read at once, and of which the first and the last part are kept.
_CHUNK = tracebacks.MAX_TEXT
#: A notebook of more bytes holds pictures or data; reading it would take the machine's memory.
_LONGEST_NOTEBOOK = 200_000_000
_MADE_BY = "`%colabenv why` makes one."


@dataclass(frozen=True)
class Handed:
    """What was handed over.

    Attributes:
        text: of `--traceback`, or "".
        notebook: the notebook, or None.
        path: as the person called it.
        snapshot: what a kernel saw, as `embedded/capture.py` writes it; empty where there is none.
    """

    text: str = ""
    notebook: Notebook | None = None
    path: str = ""
    snapshot: Mapping[str, Any] | None = None

    @property
    def adds(self) -> bool:
        """Whether the question is about this, and not about all that the interpreter has."""
        return self.notebook is not None or self.snapshot is not None


def handed_over(subject: str | None, traceback: str, snapshot: str) -> Handed:
    """Read what the command line names.

    Args:
        subject: a notebook's path, or something else that is no matter here.
        traceback: a file, "-" for standard input, or "".
        snapshot: a file that a kernel wrote, or "".

    Raises:
        UsageError: it cannot be read, or there is no failure in it.
    """
    text = _text_of(traceback) if traceback else ""
    if traceback and not reading.complaints_in(text, "the traceback"):
        raise UsageError(
            f"There is no exception in {'standard input' if traceback == '-' else traceback}, and nothing that pip "
            "or uv could not install.",
            hint="Give it all that was shown, from `Traceback (most recent call last)` to the last line.",
        )
    if snapshot:
        return Handed(text, snapshot=_snapshot_of(snapshot))
    if subject is None or not subject.endswith(".ipynb"):
        return Handed(text)
    return Handed(text, _notebook_of(subject), subject)


def with_handed(facts: Facts, handed: Handed) -> Facts:
    """The facts of an interpreter together with what was handed over.

    Raises:
        UsageError: a snapshot is not as a kernel writes it.
    """
    said = reading.complaints_in(handed.text, "the traceback")
    complaints = (*facts.complaints, *(replace(one, here=_is_from(facts, one)) for one in said))
    facts = replace(facts, complaints=complaints)
    if handed.snapshot is not None:
        try:
            return with_snapshot(facts, handed.snapshot)
        except (TypeError, ValueError) as error:
            raise UsageError("This is no snapshot of a kernel.", hint=_MADE_BY) from error
    if handed.notebook is None:
        return facts
    return replace(
        facts,
        target=f"{handed.notebook.name} in {facts.target}",
        notebook=handed.path,
        complaints=(*complaints, *reading.complaints_of(handed.notebook)),
        usages=tuple(reading.usages_of(handed.notebook)),
        asked=tuple(reading.asked_of(handed.notebook)),
    )


def findings_of(before: Facts, facts: Facts, handed: Handed) -> tuple[Finding, ...]:
    """What is wrong; of a notebook or a failed cell only what it adds to what is wrong with its interpreter.

    Args:
        before: the interpreter alone.
        facts: the same with what was handed over.
        handed: that.
    """
    found = diagnose(facts)
    if not handed.adds:
        return found
    known = diagnose(before)
    added = tuple(one for one in found if one not in known)
    failed = facts.complaints[len(before.complaints) :]
    unknown = handed.snapshot is not None and all(one.code == "CE901" for one in added)
    # Of a failed import what else is wrong may well be the cause; of a KeyError it hardly is.
    return (
        found
        if unknown and any("ImportError" in one.kind or "NotFound" in one.kind for one in failed)
        else added
    )


def with_snapshot(facts: Facts, snapshot: Mapping[str, Any]) -> Facts:
    """The facts with the exception of a failed cell, and what its process has imported."""
    loaded = {
        str(name): Loaded(str(name), str(version), str(file))
        for name, (version, file) in dict(snapshot.get("loaded") or {}).items()
    }
    if not snapshot.get("kind"):
        return replace(facts, loaded=loaded)
    complaint = Complaint(
        source="the failed cell",
        statement=str(snapshot.get("statement") or ""),
        kind=str(snapshot["kind"]),
        message=str(snapshot.get("message") or ""),
        frames=tuple((str(file), int(line), str(name)) for file, line, name in snapshot.get("frames") or ()),
        text=tracebacks.plain(str(snapshot.get("text") or "")),
    )
    return replace(facts, loaded=loaded, complaints=(*facts.complaints, complaint))


def _is_from(facts: Facts, complaint: Complaint) -> bool:
    """Whether a traceback can be from this interpreter: none of its files lies in another one's packages."""
    folders = [folder for folder in (*facts.path, facts.prefix, facts.base_prefix, facts.stdlib) if folder]
    installed = [
        str(Path(file).expanduser()) if file.startswith("~/") else file
        for file, _, _ in complaint.frames
        if "/site-packages/" in file or "/dist-packages/" in file or "/lib/python3" in file
    ]
    return all(any(file.startswith(folder) for folder in folders) for file in installed)


def _text_of(source: str) -> str:
    if source == "-":
        data = _ends_of(sys.stdin.buffer)
    else:
        try:
            with Path(source).expanduser().open("rb") as file:
                data = _ends_of(file)
        except OSError as error:
            raise UsageError(
                f"{source} cannot be read: {error.strerror}.",
                hint="--traceback takes a file, or - for standard input.",
            ) from error
    if b"\0" in data[:8000]:
        raise UsageError(
            f"{'Standard input' if source == '-' else source} is not text.",
            hint="--traceback takes the text that was shown: copy it into a file.",
        )
    return data.decode("utf-8", "replace")


def _ends_of(file: IO[bytes]) -> bytes:
    """The beginning and the end of what may be a log of any length."""
    first = file.read(_CHUNK)
    last = b""
    while chunk := file.read(_CHUNK):
        last = (last + chunk)[-_CHUNK:]
    return first + (b"\n" if last else b"") + last


def _notebook_of(subject: str) -> Notebook:
    from colabenv.importers.notebook import parse_notebook  # noqa: PLC0415

    path = Path(subject).expanduser()
    try:
        if path.stat().st_size > _LONGEST_NOTEBOOK:
            raise UsageError(f"{subject} is too large for a notebook.", hint="Clear its outputs and save it.")
        return parse_notebook(path.read_text(encoding="utf-8", errors="replace"), path.name)
    except OSError as error:
        raise UsageError(
            f"{subject} cannot be read: {error.strerror}.", hint="Check the path of the notebook."
        ) from error


def _snapshot_of(source: str) -> Mapping[str, Any]:
    try:
        data = json.loads(Path(source).read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{source} is no snapshot of a kernel: {error}.", hint=_MADE_BY) from error
    if not isinstance(data, dict):
        raise UsageError(f"{source} is no snapshot of a kernel.", hint=_MADE_BY)
    return data
