"""Colab's releases as the tests know them: the package lists under tests/data/colab."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "colab"


@dataclass(frozen=True)
class Release:
    """One release on one kind of machine.

    Attributes:
        name: as in Colab's menu, `2026.07`.
        variant: `cpu` or `gpu`.
        python: the minor version of the base Python, `3.12`.
        packages: normalised name to version.
    """

    name: str
    variant: str
    python: str
    packages: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name}-{self.variant}"


def parse(name: str, text: str) -> list[Release]:
    """The releases that one data file tells of, the cpu machine first; one where both are the same."""
    python = re.search(r"base Python (\d\.\d+)\.", text)
    if python is None:
        raise ValueError(f"{name}: the header names no base Python")
    sections: dict[str, dict[str, str]] = {"both": {}, "cpu": {}, "gpu": {}}
    section: dict[str, str] | None = None
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("["):
            section = sections[line.strip("[]")]
        elif section is None:
            raise ValueError(f"{name}: {line!r} stands before any section")
        else:
            package, version = line.split("==")
            section[package] = version
    variants = ["cpu", "gpu"] if sections["gpu"] else ["cpu"]
    return [Release(name, kind, python[1], sections["both"] | sections[kind]) for kind in variants]


def releases() -> list[Release]:
    """Every release in the data, oldest first."""
    return [one for path in sorted(FOLDER.glob("*.txt")) for one in parse(path.stem, path.read_text())]
