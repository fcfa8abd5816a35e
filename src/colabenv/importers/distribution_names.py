"""Names of modules and distributions, and the Pythons with wheels, from names.toml and pythons.toml."""

from __future__ import annotations

import functools
import importlib.resources
from dataclasses import dataclass
from typing import Any, Final

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from colabenv._compat import tomllib
from colabenv.frameworks.runtimes import load_runtime
from colabenv.profile import times
from colabenv.profile.validators import PYTHON_MINORS

#: The Python versions that colabenv builds, oldest first.
BUILDABLE: Final = tuple(f"3.{minor}" for minor in PYTHON_MINORS)


@dataclass(frozen=True)
class DistributionNames:
    """The content of names.toml."""

    modules: dict[str, str]  #: module to distribution, "" if the index does not have it
    until: dict[str, str]  #: module to the releases of its distribution that still have it
    old: dict[str, str]  #: old distribution name to its current one
    #: conda's name to the index's, "" if it is not a Python package or is installed with another
    conda: dict[str, str]
    calls: dict[str, str]  #: call in code to the distribution that it needs
    source_only: frozenset[str]  #: distributions without wheels
    known: frozenset[str]  #: distributions that are on the index

    def find_distribution(self, module: str) -> str | None:
        """The distribution of a dotted module, "" if the index does not have it, None if unknown."""
        parts = module.split(".")
        for length in range(len(parts), 0, -1):
            if (distribution := self.modules.get(".".join(parts[:length]))) is not None:
                return distribution
        name = str(canonicalize_name(parts[0]))
        return name if name in self.known else None


@functools.cache
def load_names() -> DistributionNames:
    """The names of names.toml and of Colab's package lists."""
    data = _load_toml("names.toml")
    listed = {
        name for label in times.RUNTIMES for name in (*load_runtime(label).cpu, *load_runtime(label).gpu)
    }
    from_modules = {str(canonicalize_name(name)) for name in data["modules"].values() if name}
    return DistributionNames(
        modules=data["modules"],
        until=data["until"],
        old=data["old"],
        conda=data["conda"],
        calls=data["calls"],
        source_only=frozenset(data["source_only"]),
        known=frozenset({*listed, *from_modules, *data["same_name"], *data["source_only"]}),
    )


@functools.cache
def load_wheel_pythons() -> dict[str, dict[str, list[str]]]:
    """For each distribution, the releases at which the Pythons of its wheels change; see pythons.toml."""
    return _load_toml("pythons.toml")


def find_pythons(name: str, version: str) -> tuple[str, ...] | None:
    """The CPython minors with wheels of a release, oldest first; None if unknown or if any Python works."""
    release, pythons = Version(version), load_wheel_pythons().get(name, {})
    steps = [minors for first, minors in pythons.items() if Version(first) <= release]
    return tuple(steps[-1]) if steps and steps[-1] != ["any"] else None


def find_pythons_for_range(name: str, specifier: SpecifierSet) -> tuple[str, ...] | None:
    """The CPython minors with wheels of some matching release; None if unknown or without pin or upper bound."""
    pins = [item.version.removesuffix(".*") for item in specifier if item.operator in ("==", "~=", "===")]
    if pins:
        return find_pythons(name, pins[0])
    if not any(item.operator in ("<", "<=") for item in specifier):
        return None
    pythons = load_wheel_pythons().get(name, {})
    minors = [minor for first in pythons if specifier.contains(first) for minor in pythons[first]]
    return tuple(dict.fromkeys(minor for minor in minors if minor != "any")) or None


def _load_toml(file: str) -> dict[str, Any]:
    text = importlib.resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    return dict(tomllib.loads(text))
