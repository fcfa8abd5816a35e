"""The built-in profiles."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def find_builtin_folder() -> Path:
    """Their folder: inside the package in an installed wheel, at the repository's root in a clone."""
    inside = _PACKAGE / "_profiles"
    return inside if inside.is_dir() else _PACKAGE.parents[1] / "profiles"
