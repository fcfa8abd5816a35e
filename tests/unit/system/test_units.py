"""Sizes, counts and lists of names in messages."""

from __future__ import annotations

from colabenv.system.units import format_bytes, format_count, format_names


def test_format_bytes() -> None:
    sizes = (0, 999, 1000, 1_500_000, 2_340_000_000)
    assert [format_bytes(size) for size in sizes] == ["0 bytes", "999 bytes", "1 kB", "1.5 MB", "2.34 GB"]


def test_format_count() -> None:
    assert [format_count(count, "layer") for count in (0, 1, 2)] == ["0 layers", "1 layer", "2 layers"]


def test_format_names() -> None:
    assert format_names(["a", "b"]) == "a, b"
    assert format_names(list("abcdefg")) == "a, b, c, d, e and 2 more"
