"""The content of a decompressed chunk: an index of its pieces, then their bytes.

Four bytes with the length of the index (big-endian), the index as JSON, and the pieces in its order. Not tar, because
here a large file spans several chunks, which several threads unpack, and because it cannot express devices and owners.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

#: "f": a file or a part of one. "p": a file that contains the environment's prefix. "l": a link.
PieceKind = Literal["f", "p", "l"]
PREFIX_MARKER = b"\x00colabenv:prefix\x00"  # replaces the environment's prefix in a "p" file
#: Largest file that is searched for the prefix, well below a chunk. Scripts and configuration files have some kB.
PREFIX_FILE_LIMIT = 4 << 20

_LENGTH = struct.Struct(">I")
_UNSAFE = re.compile(r"(^|/)(\.{0,2})(/|$)|[\x00\n\r]")
#: Files of the virtual environment or of colabenv, which no wheel may contain.
_RESERVED = re.compile(
    r"(pyvenv\.cfg|stamp\.json|lock\.txt|lib64|\.lock|colabenv|bin/python[0-9.]*|bin/activate[^/]*)(/.*)?"
)


@dataclass(frozen=True)
class Piece:
    """A file or a part of one; `size` is that of the whole file, `offset` and `length` are those of the part.

    The path is relative to the layer's folder, with "/"; the mode has permission bits only; mtime is in nanoseconds.
    """

    path: str
    kind: PieceKind
    mode: int
    mtime: int
    size: int
    offset: int
    length: int


def encode_chunk(pieces: Iterable[tuple[Piece, bytes | memoryview]]) -> bytes:
    """A chunk, not yet compressed."""
    pieces = list(pieces)
    rows = [list(vars(piece).values()) for piece, _ in pieces]
    index = json.dumps(rows, separators=(",", ":")).encode("utf-8", "surrogateescape")
    return b"".join([_LENGTH.pack(len(index)), index, *(data for _, data in pieces)])


def decode_chunk(data: memoryview, *, interpreter: bool = False) -> Iterator[tuple[Piece, memoryview]]:
    """The pieces of a decompressed chunk, which is not trusted, each with its bytes.

    Only the chunks of a managed Python (`interpreter`) may have links and a `bin/python`.

    Raises:
        ValueError: it is not a chunk, or contains something that must not be written; the message is a noun phrase.
    """
    if len(data) < _LENGTH.size:
        raise ValueError("a chunk without an index")
    (length,) = _LENGTH.unpack(data[: _LENGTH.size])
    start = _LENGTH.size + length
    if start > len(data):
        raise ValueError("an index longer than its chunk")
    index = json.loads(bytes(data[_LENGTH.size : start]).decode("utf-8", "surrogateescape"))
    if type(index) is not list:
        raise ValueError("an index that is not a list")
    for row in index:
        piece = _parse_piece(row, interpreter=interpreter)
        if piece.length > len(data) - start:
            raise ValueError(f"the truncated file {piece.path[:80]!r}")
        yield piece, data[start : start + piece.length]
        start += piece.length
    if start != len(data):
        raise ValueError("bytes that belong to no file")


def _parse_piece(row: Any, *, interpreter: bool) -> Piece:
    if type(row) is not list or len(row) != 7:
        raise ValueError("an invalid index row")
    path, kind, *numbers = row
    if type(path) is not str or not is_safe_path(path, interpreter=interpreter):
        raise ValueError(f"the path {str(path)[:80]!r}")
    if kind not in ("f", "p", "l") or (kind == "l" and not interpreter):
        raise ValueError(f"{path[:80]!r}, which is neither a file nor a folder")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{path[:80]!r} with impossible numbers")
    mode, mtime, size, offset, length = numbers
    is_whole = offset == 0 and length == size
    if offset + length > size or mode > 0o777 or max(mtime, size) >= 1 << 62 or not (is_whole or kind == "f"):
        raise ValueError(f"{path[:80]!r} with impossible numbers")
    if kind == "p" and size > PREFIX_FILE_LIMIT:
        raise ValueError(f"{path[:80]!r}, a script of {size} bytes")
    return Piece(path, kind, mode, mtime, size, offset, length)


def is_safe_path(path: str, *, interpreter: bool = False) -> bool:
    """Whether a path stays below its folder and, in a wheel's layer, is not a file of the environment itself."""
    if not path or len(path) > 2048 or _UNSAFE.search(path):
        return False
    return interpreter or not _RESERVED.fullmatch(path)


def link_escapes(path: str, target: str) -> bool:
    """Whether a link could point outside the folder. ".." may only come first: after a name it may follow a link."""
    parts = target.split("/")
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return (
        not target or target.startswith("/") or "\0" in target or ".." in parts[ups:] or ups > path.count("/")
    )


def index_bytes(path: str) -> int:
    """About how many bytes the index needs for a piece."""
    return (len(path) if path.isascii() else 12 * len(path)) + 80
