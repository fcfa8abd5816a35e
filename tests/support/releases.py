"""Colab's releases, from the package lists in tests/data/colab."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "colab"


@dataclass(frozen=True)
class Release:
    """One release on one kind of machine.

    Attributes:
        name: as in Colab's menu, such as `2026.07`.
        variant: `cpu` or `gpu`.
        python: the minor version of the base Python, such as `3.12`.
        packages: normalized name to version.
    """

    name: str
    variant: str
    python: str
    packages: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name}-{self.variant}"


def parse(name: str, text: str) -> list[Release]:
    """The releases in one data file: that of the cpu machine, and that of the gpu machine if it differs."""
    python = re.search(r"base Python (\d\.\d+)\.", text)
    if python is None:
        raise ValueError(f"{name}: the header has no base Python")
    sections: dict[str, dict[str, str]] = {"both": {}, "cpu": {}, "gpu": {}}
    section: dict[str, str] | None = None
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("["):
            section = sections[line.strip("[]")]
        elif section is None:
            raise ValueError(f"{name}: {line!r} is before any section")
        else:
            package, version = line.split("==")
            section[package] = version
    variants = ["cpu", "gpu"] if sections["gpu"] else ["cpu"]
    return [Release(name, kind, python[1], sections["both"] | sections[kind]) for kind in variants]


def releases() -> list[Release]:
    """Every release in the data, oldest first."""
    return [
        release for path in sorted(FOLDER.glob("*.txt")) for release in parse(path.stem, path.read_text())
    ]
