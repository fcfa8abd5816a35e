"""Snapshots of all files below a folder, to check that none has changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """One file: its size in bytes, its modification time in nanoseconds, and its digest.

    The digest of a link is that of its target path. Only empty folders have an entry.
    """

    size: int
    mtime_ns: int
    sha256: str


def take(folder: Path) -> dict[str, Entry]:
    """Every file and link below a folder, by relative path."""
    entries = {}
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in files + links:
            path = Path(parent) / name
            status = path.lstat()
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            entry = Entry(status.st_size, status.st_mtime_ns, hashlib.sha256(content).hexdigest())
            entries[str(path.relative_to(folder))] = entry
        if not files and not folders:
            entries[f"{Path(parent).relative_to(folder)}/"] = Entry(0, 0, "empty folder")
    return entries


def differences(before: dict[str, Entry], after: dict[str, Entry]) -> list[str]:
    """One line for each path that was added, removed or changed."""
    lines = [f"added: {path}" for path in after.keys() - before.keys()]
    lines += [f"removed: {path}" for path in before.keys() - after.keys()]
    lines += [f"changed: {path}" for path in before.keys() & after.keys() if before[path] != after[path]]
    return sorted(lines)
