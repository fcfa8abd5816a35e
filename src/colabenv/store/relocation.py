"""Scripts of an environment: what in them depends on the environment's folder, and RECORD's lines about them. Pure.

An installer writes the environment's Python into a script's first line, or, where that would be longer than the
kernel reads, into a shell line that starts it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Mapping

from colabenv.environment.distributions import parse_record
from colabenv.store.chunk_format import PREFIX_MARKER

#: Longest first line that Linux takes (BINPRM_BUF_SIZE less the end, execve(2)); installers go by 127.
_FIRST_LINE = 127
_SHELL = b"#!/bin/sh\n'''exec' "


def mark_prefix(data: bytes, prefix: str) -> bytes | None:
    """A file with markers where it names the environment's folder, or None where it does not.

    Raises:
        ValueError: the file holds a marker already.
    """
    folder = prefix.encode()
    if folder not in data:
        return None
    if PREFIX_MARKER in data:
        raise ValueError("it holds colabenv's own marker")
    return _plain_start(data, folder).replace(folder, PREFIX_MARKER)


def _plain_start(data: bytes, folder: bytes) -> bytes:
    """A script with the short form of its first line, whichever form it has."""
    if not data.startswith(_SHELL):
        return data
    line, _, rest = data[len(_SHELL) :].partition(b"\n")
    closing, _, body = rest.partition(b"\n")
    python = line.partition(b' "$0" "$@"')[0].strip(b"\"'")
    if not python.startswith(folder) or closing.strip() != b"' '''":
        return data
    return b"#!" + python + b"\n" + body


def fill_prefix(data: bytes, prefix: str) -> bytes:
    """The file for an environment at `prefix`; a first line that Linux would not take becomes the shell form."""
    made = data.replace(PREFIX_MARKER, prefix.encode())
    line, _, rest = made.partition(b"\n")
    # With its line end, as installers count.
    if data.startswith(b"#!" + PREFIX_MARKER) and (len(line) >= _FIRST_LINE or b" " in line):
        python = line[2:].replace(b"'", b"'\"'\"'")
        return b"%s'%s' \"$0\" \"$@\"\n' '''\n%s" % (_SHELL, python, rest)
    return made


def hash_for_record(data: bytes) -> str:
    """A file's hash as RECORD has it (PyPA's "Recording installed projects")."""
    return format_record_hash(hashlib.sha256(data).digest())


def format_record_hash(digest: bytes) -> str:
    """A sha256 as RECORD has it."""
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def update_record(record: bytes, changed: Mapping[str, bytes]) -> bytes:
    """A RECORD with new hashes and sizes for what was filled in; nothing else of it moves.

    Args:
        record: as it was packed.
        changed: the new content of files, by their path as RECORD has it.

    Raises:
        ValueError: it is not CSV.
    """
    if not changed:
        return record
    lines = []
    for file, line in parse_record(record.decode("utf-8", "surrogateescape")):
        if file.path in changed and file.hash:
            out = io.StringIO(newline="")
            data = changed[file.path]
            end = line[len(line.rstrip("\r\n")) :]
            csv.writer(out, lineterminator=end).writerow([file.path, hash_for_record(data), len(data)])
            lines.append(out.getvalue())
        else:
            lines.append(line)
    return "".join(lines).encode("utf-8", "surrogateescape")
