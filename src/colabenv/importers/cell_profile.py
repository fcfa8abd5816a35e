"""A profile in the body of a notebook's cell, `%%colabenv up`."""

from __future__ import annotations

from pathlib import Path

from colabenv.errors import UsageError
from colabenv.importers.notebook_source import CELL_HEADER, CellProfile
from colabenv.profile import diagnostics, document
from colabenv.profile.problems import profile_error
from colabenv.system.files import write_atomically


def save_cell_profile(cell: CellProfile, *, write: bool) -> Path:
    """Write the profile of a cell to NAME.yaml in the working folder; returns the path.

    The file is what later commands read, and its lock is beside it. `write` False only validates.

    Raises:
        ProfileError: the cell is not a valid profile; lines are those of the cell.
        UsageError: the file exists, and is not a cell's.
        DiskError: it cannot be written.
    """
    top, problems = document.parse_document(cell.text, "the cell")
    profile, more = diagnostics.validate_document(top)
    if profile is None or problems or more:
        raise profile_error([*problems, *more])
    path = Path(f"{profile.name}.yaml")
    try:
        existing = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        existing = None
    if existing is not None and not existing.startswith(CELL_HEADER):
        raise UsageError(
            f"{path} exists, and no cell wrote it.",
            hint=f"Use it with `%colabenv up {path}`, or give the profile in the cell another name.",
        )
    if write and existing != cell.text:
        write_atomically(path, cell.text)
    return path
