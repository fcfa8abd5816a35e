"""Files that contain the environment's prefix, such as scripts, and their lines in RECORD.

An installer writes the environment's Python into a script's first line or, if that would be longer than the kernel
reads, into a shell line that starts it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping

from colabenv.environment.distributions import parse_record
from colabenv.store.chunk_format import PREFIX_MARKER

#: Longest first line that Linux reads (BINPRM_BUF_SIZE without the terminator, execve(2)); installers use 127.
_FIRST_LINE = 127
_SHELL = b"#!/bin/sh\n'''exec' "


def mark_prefix(data: bytes, prefix: str) -> bytes | None:
    """A file with markers in place of the prefix, or None; raises ValueError if it has a marker already."""
    folder = prefix.encode()
    if folder not in data:
        return None
    if PREFIX_MARKER in data:
        raise ValueError("it contains colabenv's own marker")
    return _shorten_shebang(data, folder).replace(folder, PREFIX_MARKER)


def _shorten_shebang(data: bytes, folder: bytes) -> bytes:
    """A script with `#!` and the Python in its first line, even if it has the shell form."""
    if not data.startswith(_SHELL):
        return data
    line, _, rest = data[len(_SHELL) :].partition(b"\n")
    closing, _, body = rest.partition(b"\n")
    python = line.partition(b' "$0" "$@"')[0].strip(b"\"'")
    if not python.startswith(folder) or closing.strip() != b"' '''":
        return data
    return b"#!" + python + b"\n" + body


def fill_prefix(data: bytes, prefix: str) -> bytes:
    """The file for an environment at `prefix`. A first line that Linux would not accept gets the shell form."""
    filled = data.replace(PREFIX_MARKER, prefix.encode())
    line, _, rest = filled.partition(b"\n")
    # The line end counts too, as for installers.
    if data.startswith(b"#!" + PREFIX_MARKER) and (len(line) >= _FIRST_LINE or b" " in line):
        python = line[2:].replace(b"'", b"'\"'\"'")
        return b"%s'%s' \"$0\" \"$@\"\n' '''\n%s" % (_SHELL, python, rest)
    return filled


def hash_for_record(data: bytes) -> str:
    """A file's hash as RECORD has it (PyPA's "Recording installed projects")."""
    return format_record_hash(hashlib.sha256(data).digest())


def format_record_hash(digest: bytes) -> str:
    """A sha256 as RECORD has it."""
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def update_record(record: bytes, changed: Mapping[str, bytes]) -> bytes:
    """A RECORD with new hashes and sizes for changed files, given by path; raises ValueError if it is not CSV."""
    if not changed:
        return record
    lines = []
    for file, line in parse_record(record.decode("utf-8", "surrogateescape")):
        data = changed.get(file.path)
        if data is None or not file.hash:
            lines.append(line)
            continue
        text = io.StringIO(newline="")
        line_end = line[len(line.rstrip("\r\n")) :]
        csv.writer(text, lineterminator=line_end).writerow([file.path, hash_for_record(data), len(data)])
        lines.append(text.getvalue())
    return "".join(lines).encode("utf-8", "surrogateescape")
