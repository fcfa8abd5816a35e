"""Reading the files of a profile: bounded, plain files only, UTF-8 text. Needs the standard library alone."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Final

from colabenv.profile.problems import Place, Problem

MAX_BYTES: Final = 1024 * 1024

# YAML 1.1, section 5.1: the characters a document may hold. NUL is told apart above it.
_UNPRINTABLE: Final = re.compile(
    "[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes:
        path: where it really is, symbolic links followed.
        text: its content without a byte order mark.
        sha256: hex digest of its bytes.
    """

    path: Path
    text: str
    sha256: str


def read(path: str, place: Place, name: str = "") -> Source | Problem:
    """Read one file of at most 1 MiB.

    Args:
        path: the file.
        place: what a problem with the file points at: the file itself, or the line that names it.
        name: the file's name in messages about its text; `path` where it is empty.

    Returns:
        The text, or why there is none: missing, unreadable, too large, no plain file, no UTF-8.
    """
    data = read_bytes(path, place)
    if isinstance(data, Problem):
        return data
    text = decoded(data, name or path)
    if isinstance(text, Problem):
        return text
    return Source(Path(os.path.realpath(path)), text, hashlib.sha256(data).hexdigest())


def read_bytes(path: str, place: Place) -> bytes | Problem:
    """The bytes of a plain file of at most 1 MiB; see `read`."""
    try:
        # Looked at before it is opened, because opening alone does something to some devices.
        if problem := _refusal(Path(path).stat(), place, path):
            return problem
        # O_NONBLOCK: should it have become a pipe since, opening must not wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(fd, "rb") as file:
            if problem := _refusal(os.fstat(fd), place, path):
                return problem
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return _os_problem(error, path, place)
    except ValueError:  # a NUL or a lone surrogate in the path
        return Problem("this is not the path of a file", place, path)
    return data if len(data) <= MAX_BYTES else _too_large(place)


def _refusal(status: os.stat_result, place: Place, path: str) -> Problem | None:
    kind = next((name for test, name in _KINDS if test(status.st_mode)), None)
    if kind:
        return Problem(f"this is {kind}, not a file", place, path, "Give the path of a text file.")
    return _too_large(place) if status.st_size > MAX_BYTES else None


def _too_large(place: Place) -> Problem:
    return Problem(
        "the file is larger than 1 MiB, and no profile is", place, hint="Is it the file you meant?"
    )


def _os_problem(error: OSError, path: str, place: Place) -> Problem:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Problem("there is no such file", place, path, _near(path))
    if error.errno in (errno.EACCES, errno.EPERM):
        return Problem(
            "you may not read this file", place, path, f"Its permissions: ls -l {shown_path(path)}"
        )
    reason = error.strerror or "unknown error"
    return Problem(f"the file cannot be read ({reason})", place, path, "Copy it elsewhere and try again.")


def shown_path(path: str) -> str:
    """A path as a person would type it to a shell."""
    return path if re.fullmatch(r"[\w./+-]+", path) else "'" + path.replace("'", "'\\''") + "'"


def _near(path: str) -> str:
    if re.match(r"(https?|gh):", path):
        return "A profile lies on the disk: download it first, or name it under `extends` in one of your own."
    folder = Path(path).parent
    try:
        there = sorted(entry.name for entry in islice(folder.iterdir(), 1000))
    except OSError:
        return f"There is no folder '{folder}' that can be read."
    near = get_close_matches(Path(path).name, there, n=1)
    profiles = [entry for entry in there if entry.endswith((".yaml", ".yml"))]
    if near:
        return f"Did you mean '{folder / near[0]}'?"
    return f"That folder has: {', '.join(profiles[:5])}." if profiles else ""


def decoded(data: bytes, source: str) -> str | Problem:
    """The text of a file's bytes, or why they are none; `source` is its name in messages."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind a byte order mark.
        bare = data.removeprefix(codecs.BOM_UTF8)
        place = _place(source, bare[: error.start].decode("utf-8", "replace") + "?")
        hint = "Save the file as UTF-8 in your editor."
        return Problem(
            "the file is not UTF-8 text: byte", place, bare[error.start : error.start + 1].hex(), hint
        )
    found = _UNPRINTABLE.search(text)
    if not found:
        return text
    place = _place(source, text[: found.end()])
    if found[0] == "\0":
        return Problem("the file holds a NUL byte", place, hint="Is it a text file, saved as UTF-8?")
    hint = "Take it out; where it is meant, write it as an escape in double quotes."
    return Problem("the file holds a character that cannot be seen", place, f"U+{ord(found[0]):04X}", hint)


def _place(source: str, text: str) -> Place:
    """Where the last character of `text` stands."""
    return Place(source, text.count("\n") + 1, len(text) - (text.rfind("\n") + 1))
