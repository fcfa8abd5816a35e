"""Encoding and decoding chunks."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colabenv.store.chunk_format import (
    Piece,
    decode_chunk,
    encode_chunk,
    index_bytes,
    is_safe_path,
    link_escapes,
)


def make_raw_chunk(rows: Any, data: bytes = b"") -> memoryview:
    """A chunk with any index, valid or not."""
    index = json.dumps(rows).encode()
    return memoryview(struct.pack(">I", len(index)) + index + data)


def row(
    path: Any = "lib/x.py",
    kind: Any = "f",
    mode: Any = 0o644,
    size: Any = 3,
    offset: Any = 0,
    length: Any = 3,
) -> list[Any]:
    return [path, kind, mode, 0, size, offset, length]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="/\x00\n\r"), min_size=3, max_size=20),
            st.binary(max_size=50),
        )
    )
)
def test_decode_reads_what_encode_wrote(files: list[tuple[str, bytes]]) -> None:
    pieces = [(Piece(f"lib/{name}", "f", 0o644, 5, len(data), 0, len(data)), data) for name, data in files]
    chunk = encode_chunk(pieces)
    assert [(piece, bytes(data)) for piece, data in decode_chunk(memoryview(chunk))] == pieces
    assert len(chunk) <= 6 + sum(len(data) + index_bytes(piece.path) for piece, data in pieces)


def decode_error(chunk: memoryview, case: object) -> str:
    """The message of the error for an invalid chunk; `case` names the chunk if it can be decoded."""
    try:
        list(decode_chunk(chunk))
    except ValueError as error:
        return str(error)
    pytest.fail(f"{case!r} is not refused")


def test_chunk_may_have_part_of_a_file() -> None:
    ((piece, data),) = decode_chunk(make_raw_chunk([row(size=100, offset=50)], b"abc"))
    assert (piece.offset, piece.length, bytes(data)) == (50, 3, b"abc")


def test_unsafe_paths_are_refused() -> None:
    paths: list[Any] = [
        "/etc/passwd",
        "../x",
        "lib/../../x",
        "lib/..",
        "..",
        ".",
        "",
        "lib//x",
        "lib/",
        "lib/./x",
        "a\x00b",
        "a\nb",
        "x" * 3000,
        "pyvenv.cfg",
        "stamp.json",
        "colabenv/kernels/x",
        "bin/python",
        "bin/python3.11",
        "bin/activate_this.py",
        "lib64/x",
        5,
        None,
    ]
    for path in paths:
        assert "the path" in decode_error(make_raw_chunk([row(path)], b"abc"), path), path


def test_managed_python_may_have_reserved_paths() -> None:
    assert is_safe_path("bin/python3.11", interpreter=True)
    assert not is_safe_path("bin/python3.11")
    assert not is_safe_path("../x", interpreter=True)
    ((piece, _),) = decode_chunk(make_raw_chunk([row("bin/python3", "l")], b"abc"), interpreter=True)
    assert piece.kind == "l"
    assert is_safe_path("bin/pythonic")
    assert is_safe_path("lib/python3.11/site-packages/...x/__init__.py")


def test_impossible_pieces_are_refused() -> None:
    cases: list[tuple[Any, bytes]] = [
        ([row(kind="l")], b"abc"),
        ([row(kind="c")], b"abc"),
        ([row(kind=["f"])], b"abc"),
        ([row(mode=0o4755)], b"abc"),
        ([row(mode=-1)], b"abc"),
        ([row(mode=True)], b"abc"),
        ([row(size=2)], b"abc"),
        ([row(offset=1)], b"abc"),
        ([row(length=1e9)], b"abc"),
        ([row(length=-3)], b"abc"),
        ([row(size=1 << 70, offset=1 << 70, length=0)], b""),
        ([row(kind="p", size=5)], b"abc"),
        ([row(kind="p", size=1 << 30, length=1 << 30)], b"abc"),
        ([row(), row("lib/y")], b"abc"),
        ([row()], b"abcd"),
        ([row()[:6]], b"abc"),
        ([{}], b""),
        ({}, b""),
        (None, b""),
    ]
    for rows, data in cases:
        decode_error(make_raw_chunk(rows, data), rows)


def test_invalid_chunks_are_refused() -> None:
    for data in (
        b"",
        b"\x00\x00",
        b"\xff\xff\xff\xff[]",
        b"\x00\x00\x00\x02[",
        b"\x00\x00\x00\x02[[",
        b"\x00\x00\x00\x01\xff",
    ):
        decode_error(memoryview(data), data)


def test_link_escapes() -> None:
    for path, target, escapes in (
        ("bin/python3", "python3.11", False),
        ("bin/x", "../lib/x", False),
        ("bin/x", "../../x", True),
        ("x", "..", True),
        ("a/b/c/up", "../../..", False),
        # If `up` is a link to the top folder, this is outside it.
        ("a/b/c/x", "up/..", True),
        ("bin/x", "/etc/passwd", True),
        ("bin/x", "", True),
        ("bin/x", "a\x00", True),
    ):
        assert link_escapes(path, target) is escapes, (path, target)
