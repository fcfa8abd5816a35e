"""What stands in a chunk once it is decompressed: an index of its pieces, then their bytes. Pure.

Four bytes with the length of the index (big-endian), the index as JSON, and the pieces in its order. Not tar, since a
large file goes over several chunks here, so that both cores unpack one layer, and since a device or an owner cannot
even be said.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

#: A whole file or a part of one; a file with places for the prefix; a link.
PieceKind = Literal["f", "p", "l"]
#: Stands in a "p" file where the environment's folder belongs.
PREFIX_MARKER = b"\x00colabenv:prefix\x00"
#: Largest file that is searched for the prefix, well below a chunk. Scripts and configuration files have some kB.
PREFIX_FILE_LIMIT = 4 << 20

_LENGTH = struct.Struct(">I")
_UNSAFE = re.compile(r"(^|/)(\.{0,2})(/|$)|[\x00\n\r]")
#: What the virtual environment itself or colabenv writes: no wheel may.
_OURS = re.compile(
    r"(pyvenv\.cfg|stamp\.json|lock\.txt|lib64|\.lock|colabenv|bin/python[0-9.]*|bin/activate[^/]*)(/.*)?"
)


@dataclass(frozen=True)
class Piece:
    """A file, or a part of one.

    Attributes:
        path: relative to the folder that the layer is unpacked to, with "/".
        kind: see `PieceKind`.
        mode: permission bits.
        mtime: nanoseconds since the epoch.
        size: of the whole file, in bytes.
        offset: of this part in the file.
        length: of this part.
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
    found = list(pieces)
    index = json.dumps(
        [
            [piece.path, piece.kind, piece.mode, piece.mtime, piece.size, piece.offset, piece.length]
            for piece, _ in found
        ],
        separators=(",", ":"),
    ).encode("utf-8", "surrogateescape")
    return b"".join([_LENGTH.pack(len(index)), index, *(data for _, data in found)])


def decode_chunk(data: memoryview, *, interpreter: bool = False) -> Iterator[tuple[Piece, memoryview]]:
    """The pieces of a chunk, each with its bytes.

    Args:
        data: the decompressed chunk, from whoever can write to the store.
        interpreter: whether it is of a managed Python, which has links and a `bin/python`.

    Raises:
        ValueError: it is none, or it holds what must not be written; with what that is.
    """
    if len(data) < _LENGTH.size:
        raise ValueError("a chunk without an index")
    (length,) = _LENGTH.unpack(data[: _LENGTH.size])
    at = _LENGTH.size + length
    if at > len(data):
        raise ValueError("an index longer than its chunk")
    index = json.loads(bytes(data[_LENGTH.size : at]).decode("utf-8", "surrogateescape"))
    if type(index) is not list:
        raise ValueError("no index")
    for row in index:
        piece = _piece(row, interpreter=interpreter)
        if piece.length > len(data) - at:
            raise ValueError(f"{piece.path[:80]!r} is cut off")
        yield piece, data[at : at + piece.length]
        at += piece.length
    if at != len(data):
        raise ValueError("bytes that belong to no file")


def _piece(row: Any, *, interpreter: bool) -> Piece:
    if type(row) is not list or len(row) != 7:
        raise ValueError("an index line that is none")
    path, kind, *numbers = row
    if type(path) is not str or not is_safe_path(path, interpreter=interpreter):
        raise ValueError(f"the path {str(path)[:80]!r}")
    if kind not in ("f", "p", "l") or (kind == "l" and not interpreter):
        raise ValueError(f"{path[:80]!r}, which is neither a file nor a folder")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{path[:80]!r} with impossible numbers")
    mode, mtime, size, offset, length = numbers
    whole = offset == 0 and length == size
    if offset + length > size or mode > 0o777 or max(mtime, size) >= 1 << 62 or not (whole or kind == "f"):
        raise ValueError(f"{path[:80]!r} with impossible numbers")
    if kind == "p" and size > PREFIX_FILE_LIMIT:
        raise ValueError(f"{path[:80]!r}, a script of {size} bytes")
    return Piece(path, kind, mode, mtime, size, offset, length)


def is_safe_path(path: str, *, interpreter: bool = False) -> bool:
    """Whether a path stays below its folder and, in a wheel's layer, is nothing that the environment itself has."""
    if not path or len(path) > 2048 or _UNSAFE.search(path):
        return False
    return interpreter or not _OURS.fullmatch(path)


def link_escapes(path: str, target: str) -> bool:
    """Whether a link at `path` with this target could lead out of the folder.

    Told from the words alone, so ".." may only come first: after a name it means whatever that name links to.
    """
    parts = target.split("/")
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return (
        not target or target.startswith("/") or "\0" in target or ".." in parts[ups:] or ups > path.count("/")
    )


def index_bytes(path: str) -> int:
    """About how many bytes a piece takes in the index."""
    return (len(path) if path.isascii() else 12 * len(path)) + 80
