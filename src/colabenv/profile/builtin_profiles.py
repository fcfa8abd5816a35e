"""The folder of the profiles that ship with colabenv."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def profiles_folder() -> Path:
    """Where they lie: in an installed wheel inside the package, in a clone at the repository's root."""
    inside = _PACKAGE / "_profiles"
    return inside if inside.is_dir() else _PACKAGE.parents[1] / "profiles"
