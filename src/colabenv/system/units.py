"""Numbers and lists for messages."""

from __future__ import annotations


def format_bytes(count: int) -> str:
    """A size: "2.34 GB", "1.5 MB", "3 kB", "12 bytes"."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    if count >= 1e6:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e3:.0f} kB" if count >= 1e3 else f"{count} bytes"


def format_count(count: int, noun: str) -> str:
    """A number of things: "1 layer", "2 layers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_names(names: list[str], most: int = 5) -> str:
    """The first names of a list: "a, b", "a, b, c, d, e and 2 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
