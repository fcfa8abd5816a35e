"""Whether an environment still is what was installed into it, told from its files alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from colabenv.lock.lockfile import normalised, same_version


def find_damage(prefix: Path, versions: Mapping[str, str]) -> str | None:
    """What has been lost or changed since the environment was built, or None.

    Args:
        prefix: folder of the environment.
        versions: locked version by distribution.
    """
    python = prefix / "bin" / "python"
    if not (python.is_symlink() and python.exists()):
        return f"{python} is not what it was"
    found = dict(_installed(prefix))
    for name, version in versions.items():
        if not same_version(found.get(name, ""), version):
            return f"{name} {version} is {'gone' if name not in found else 'now ' + found[name]}"
    lost = next(_damaged_files(prefix), None)
    return f"{lost} is missing or not whole" if lost else None


def _installed(prefix: Path) -> Iterator[tuple[str, str]]:
    """Name and version of each distribution, from the names of the folders (PyPA's "Recording installed projects")."""
    for folder in prefix.glob("lib/python3.*/site-packages/*.dist-info"):
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        yield normalised(name), version


def _damaged_files(prefix: Path) -> Iterator[Path]:
    """Files that a RECORD lists and that are missing or of another size.

    Bytecode is passed over, since anyone may write it anew, and so is what has no size in its RECORD.
    """
    for record in sorted(prefix.glob("lib/python3.*/site-packages/*.dist-info/RECORD")):
        root = record.parent.parent
        try:
            lines = list(csv.reader(record.read_text(encoding="utf-8", errors="replace").splitlines()))
        except (OSError, csv.Error):
            yield record
            continue
        for line in lines:
            if len(line) == 3 and line[2].isdigit() and not line[0].endswith(".pyc"):
                path = root / line[0]
                try:
                    whole = path.stat().st_size == int(line[2])
                except OSError:
                    whole = False
                if not whole:
                    yield path
