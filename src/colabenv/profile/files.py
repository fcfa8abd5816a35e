"""Read the files of a profile: regular files of at most 1 MiB with UTF-8 text."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import re
import shlex
import stat
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Final

from colabenv.profile.problems import Location, Problem

MAX_BYTES: Final = 1024 * 1024

# YAML 1.1, section 5.1: the characters that a document may contain.
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
class SourceFile:
    """A file's real path, its text without a byte order mark, and the SHA-256 of its bytes in hex."""

    path: Path
    text: str
    sha256: str


def read_file(path: str, location: Location, name: str = "") -> SourceFile | Problem:
    """Read a file of at most 1 MiB.

    Problems of the file are reported at `location`, the file itself or the line that names it; those of its text, under
    `name`, by default its path.
    """
    data = read_bytes(path, location)
    if isinstance(data, Problem):
        return data
    text = decode_text(data, name or path)
    if isinstance(text, Problem):
        return text
    return SourceFile(Path(os.path.realpath(path)), text, hashlib.sha256(data).hexdigest())


def read_bytes(path: str, location: Location) -> bytes | Problem:
    """The bytes of a regular file of at most 1 MiB; see `read_file`."""
    try:
        # Check before opening, because opening some devices has side effects.
        if problem := _refusal(Path(path).stat(), location, path):
            return problem
        # O_NONBLOCK: if the file has become a pipe since, opening must not wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(fd, "rb") as file:
            if problem := _refusal(os.fstat(fd), location, path):
                return problem
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return _os_problem(error, path, location)
    except ValueError:  # a NUL or a lone surrogate in the path
        return Problem("invalid file path", location, path, "Remove the NUL or invalid character.")
    return data if len(data) <= MAX_BYTES else _too_large(location)


def _refusal(status: os.stat_result, location: Location, path: str) -> Problem | None:
    kind = next((name for test, name in _KINDS if test(status.st_mode)), None)
    if kind:
        return Problem(f"expected a file, found {kind}", location, path, "Give the path of a text file.")
    return _too_large(location) if status.st_size > MAX_BYTES else None


def _too_large(location: Location) -> Problem:
    return Problem("the file is larger than 1 MiB", location, hint="Check that this is the right file.")


def _os_problem(error: OSError, path: str, location: Location) -> Problem:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Problem("file not found", location, path, _suggest_path(path))
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = f"Check its permissions: ls -l {shlex.quote(path)}"
        return Problem("permission denied", location, path, hint)
    reason = error.strerror or "unknown error"
    return Problem(
        f"cannot read the file ({reason})", location, path, "Copy it to another folder and try again."
    )


def _suggest_path(path: str) -> str:
    folder = Path(path).parent
    try:
        names = sorted(entry.name for entry in islice(folder.iterdir(), 1000))
    except OSError:
        return f"The folder '{folder}' does not exist or cannot be read."
    profiles = [name for name in names if name.endswith((".yaml", ".yml"))]
    if near := get_close_matches(Path(path).name, names, n=1):
        return f"Did you mean '{folder / near[0]}'?"
    return f"Profiles in this folder: {', '.join(profiles[:5])}." if profiles else "Check the path."


def decode_text(data: bytes, source: str) -> str | Problem:
    """The text of a file's bytes, or what is wrong with them; `source` is the file's name in messages."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec does not count the byte order mark.
        bare = data.removeprefix(codecs.BOM_UTF8)
        location = _end_location(source, bare[: error.start].decode("utf-8", "replace") + "?")
        byte = bare[error.start : error.start + 1].hex()
        return Problem("the file is not UTF-8 text (byte {value})", location, byte, "Save the file as UTF-8.")
    match = _UNPRINTABLE.search(text)
    if not match:
        return text
    location = _end_location(source, text[: match.end()])
    if match[0] == "\0":
        return Problem("the file contains a NUL byte", location, hint="Save the file as UTF-8 text.")
    hint = "Remove it, or write it as an escape sequence in double quotes."
    return Problem("invisible character {value}", location, f"U+{ord(match[0]):04X}", hint)


def _end_location(source: str, text: str) -> Location:
    """The location of the last character of `text`."""
    return Location(source, text.count("\n") + 1, len(text) - (text.rfind("\n") + 1))
